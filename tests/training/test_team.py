"""What several processes compute of shares of a batch, one process computes of the whole."""

from __future__ import annotations

import math
import os
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from detect_tl.core.progress import Silent
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.beginning import begin
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.lesson import Lessons
from detect_tl.training.objective import extend
from detect_tl.training.run import carry_on
from detect_tl.training.team import Shares, Team
from detect_tl.training.trainer import Conduct
from tests.training.test_coverage import SIDE, model_of
from tests.training.test_lesson import NAMES, sure, teacher_of

OBJECTS = (3, 1, 0, 1)  # of each picture: shares of a batch are never alike
CASES = [("yolo11n", "detect", True), ("yolo26n", "detect", False), ("yolo11n", "segment", True)]


def batch_of(rows: list[int], task: str) -> dict[str, Any]:
    """Pictures of a batch of four by their numbers, as Ultralytics collates them."""
    draw = torch.Generator().manual_seed(4)
    images = torch.rand(4, 3, SIDE, SIDE, generator=draw)
    labels = torch.cat([torch.rand(4, 3, 2, generator=draw) * 0.4 + 0.3] * 2, dim=2)
    labels[..., 2:] *= 0.8
    classes = torch.randint(0, 3, (4, 3, 1), generator=draw).float()
    counts = [OBJECTS[row] for row in rows]
    batch = {
        "img": images[rows],
        "im_file": [f"/somewhere/{row}.png" for row in rows],
        "batch_idx": torch.tensor([float(k) for k, n in enumerate(counts) for _ in range(n)]),
        "cls": torch.cat([classes[row][:n] for row, n in zip(rows, counts, strict=True)]),
        "bboxes": torch.cat([labels[row][:n] for row, n in zip(rows, counts, strict=True)]),
    }
    if task == "segment":
        outlines = torch.zeros(4, SIDE // 4, SIDE // 4)
        for row, count in enumerate(OBJECTS):
            for number in range(count):
                outlines[row, 4 * number : 4 * number + 6, 3:12] = number + 1
        batch["masks"] = outlines[rows]
        batch["sem_masks"] = (batch["masks"] > 0).float()
    return batch


def step(team: Team, name: str, task: str, *, taught: bool) -> dict[str, Tensor]:
    """The gradients and the parts of the loss after a step of this member of a team."""
    model = model_of(name, task).eval().requires_grad_()
    teacher = teacher_of(sure(model_of("yolo11n", task, seed=5)))
    lessons = Lessons([teacher], NAMES, team) if taught else None
    batch = batch_of(team.share(range(4)), task)
    criterion = extend(model.init_criterion(), {}, lessons, team)
    loss, items = criterion(model(batch["img"])[1], batch)
    loss.sum().backward()
    team.join(model)
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {**found, **{n: torch.tensor(v) for n, v in team.mean(items).items()}}


def statistics(team: Team) -> dict[str, Tensor]:
    """What a model in training holds after a forward pass and a join; its first layer is frozen."""
    model = model_of("yolo11n").train()
    model.model[0].eval().requires_grad_(requires_grad=False)
    batch = batch_of(team.share(range(4)), "detect")
    extend(model.init_criterion(), {}, None, team)(model(batch["img"]), batch)[0].sum().backward()
    team.join(model)
    gradients = {f"gradient {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {**model.state_dict(), **gradients}


class Seen:
    """What a trainer holds when it has ended, and of which pictures it kept features."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def attach(self, trainer: Any) -> None:
        trainer.add_callback("on_train_end", self._look)

    def _look(self, trainer: Any) -> None:
        self.found["weights"] = trainer.model.state_dict()
        self.found["average"] = trainer.ema.ema.state_dict()
        views = trainer.staging._features._views.values()
        self.found["pictures"] = [[labels["im_file"] for labels in v.labels] for v in views]


def whole_run(team: Team, place: Path) -> dict[str, Any]:
    """Do a run that was begun in `place`, in a folder of this member's own."""
    run = RunFolder(shutil.copytree(place / "run", place / f"run{team.rank}"))
    seen = Seen()
    conduct = Conduct(threads=1, team=team, watchers=[seen])
    carry_on(run, run.config().model_copy(update={"out": run.path}), Silent(), conduct)
    return seen.found


def member(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    place = Path(folder)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    distributed.init_process_group(
        "gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=2
    )
    team = Team(rank, 2, local_rank=rank, local_size=2)
    found: dict[str, Any] = {
        f"{name} {task}": step(team, name, task, taught=taught) for name, task, taught in CASES
    }
    found["statistics"] = statistics(team)
    found["said"] = team.all(rank), team.as_leader(f"of {rank}"), team.mean({"x": rank})
    with team.in_turn():
        (place / f"{rank}").write_text(" ".join(sorted(p.name for p in place.glob("[01]"))))
    found["run"] = whole_run(team, place)
    torch.save(found, place / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("team")


@pytest.fixture(scope="module")
def two(folder: Path, shapes: Path, small_checkpoint: Path) -> list[dict[str, Any]]:
    """What two processes found, by rank."""
    small = {"epochs": 3, "imgsz": 64, "batch": 4, "device": "cpu", "strategy": "freeze"}
    values = {"data": shapes, "weights": str(small_checkpoint), "out": folder / "run", **small}
    begin(TrainConfig.parse(values), Silent(), 2)
    multiprocessing.spawn(member, (str(folder),), nprocs=2)
    assert [(folder / name).read_text() for name in "01"] == ["", "0"]  # one after the other
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task", "taught"), CASES)
def test_a_step_of_a_team_is_that_of_one_process_with_the_whole_batch(
    two: list[dict[str, Any]], name: str, task: str, *, taught: bool
) -> None:
    whole = step(Team(), name, task, taught=taught)
    first, second = (each[f"{name} {task}"] for each in two)
    assert first.keys() == second.keys() == whole.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    for key, value in whole.items():
        size = float(value.abs().max())
        assert torch.allclose(first[key], value, rtol=1e-3, atol=1e-4 * size + 1e-5), key


@pytest.mark.slow
def test_members_are_the_same_to_the_bit_and_what_is_frozen_is_as_it_was(
    two: list[dict[str, Any]],
) -> None:
    first, second = (each["statistics"] for each in two)
    assert all(torch.equal(first[key], second[key]) for key in first)
    before = model_of("yolo11n").state_dict()
    frozen = [key for key in before if key.startswith("model.0.")]
    assert all(torch.equal(before[key], first[key]) for key in frozen)
    assert not any(key.startswith("gradient model.0.") for key in first)
    alone = statistics(Team())
    means = [key for key in before if key.endswith("model.1.bn.running_mean")]
    assert means
    for key in means:  # of equal shares the mean of the means is that of the whole
        assert not torch.equal(first[key], before[key])
        assert torch.allclose(first[key], alone[key], atol=1e-6)


@pytest.mark.slow
def test_a_run_of_two_ends_the_same_in_both_and_the_leader_alone_has_written_it(
    two: list[dict[str, Any]], folder: Path, small_checkpoint: Path
) -> None:
    first, second = (each["run"] for each in two)
    source = load_checkpoint(small_checkpoint).model.float().state_dict()
    frozen = [key for key in source if int(key.split(".")[1]) < 11]
    for kind in ("weights", "average"):
        assert all(torch.equal(first[kind][key], second[kind][key]) for key in source)
        assert all(torch.equal(first[kind][key], source[key]) for key in frozen)
    for one, other in zip(first["pictures"], second["pictures"], strict=True):
        assert len(one) == len(other) == 6
        assert not set(one) & set(other)
    assert len(first["pictures"]) == 3  # views
    assert RunFolder(folder / "run0").finished
    assert not RunFolder(folder / "run1").last.exists()
    assert not RunFolder(folder / "run1").metrics.exists()


@pytest.mark.slow
def test_members_hear_each_other(two: list[dict[str, Any]]) -> None:
    assert [each["said"] for each in two] == [([0, 1], "of 0", {"x": 0.5})] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("pictures", [1, 4, 7, 12, 13])
def test_shares_are_as_large_as_each_other_and_together_the_whole(size: int, pictures: int) -> None:
    batch = 12
    order = list(range(pictures))
    batches = [order[start : start + batch] for start in range(0, pictures, batch)]
    shares = [list(Shares(batches, Team(rank, size))) for rank in range(size)]
    for number, rows in enumerate(batches):
        found = [share[number] for share in shares]
        assert {len(each) for each in found} == {math.ceil(len(rows) / size)}
        assert set(chain(*found)) == set(rows)
        assert sum(map(len, found)) - len(rows) < size
    fixed = [Team(rank, size).share(order) for rank in range(size)]
    assert {math.ceil(len(rows) / (batch // size)) for rows in fixed} == {len(batches)}
