"""What trains in which epoch, on a real run, and what is kept of frozen layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detect_tl.core.errors import MachineError
from detect_tl.core.files import read_json
from detect_tl.core.progress import Silent
from detect_tl.training.engine import DetectionTransferTrainer
from detect_tl.training.features import Budget, FeatureBatches, FeatureViews
from detect_tl.training.plan import batch_for
from detect_tl.training.run import resume, train
from tests.training.test_run import config, tensors

State = dict[str, torch.Tensor]


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[State, State]]:
    """Weights and their average after every epoch of the runs in a test."""
    seen: list[tuple[State, State]] = []
    save = DetectionTransferTrainer.save_model

    def saving(trainer: Any) -> Any:
        both = trainer.model.state_dict(), trainer.ema.ema.state_dict()
        seen.append(tuple({k: v.clone() for k, v in state.items()} for state in both))
        return save(trainer)

    monkeypatch.setattr(DetectionTransferTrainer, "save_model", saving)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["head", "freeze", "lp-ft", "gradual", "full"])
def test_layers_train_when_their_stage_says_and_not_before(
    shapes: Path,
    small_checkpoint: Path,
    tmp_path: Path,
    epochs: list[tuple[State, State]],
    strategy: str,
) -> None:
    run = train(config(shapes, small_checkpoint, tmp_path / "run", epochs=3, strategy=strategy)).run
    before = {k: v.float() for k, v in tensors(small_checkpoint).items()}
    stages = read_json(run.strategy)["stages"]
    assert len(epochs) == 3
    for stage in stages:
        frozen = set(stage["frozen"])
        first, last = stage["epochs"]
        for model, average in epochs[first - 1 : last]:
            for name, value in before.items():
                if layer_of(name) in frozen:
                    assert torch.equal(model[name], value), name
                    assert torch.equal(average[name], value), name
            convolutions = [
                name
                for name, value in before.items()
                if name.endswith("conv.weight")
                and value.shape == model[name].shape
                and ".dfl." not in name  # constants
            ]
            moved = {n for n in convolutions if not torch.equal(model[n], before[n])}
            assert moved == {n for n in convolutions if layer_of(n) not in frozen}
    fates = read_json(run.transfer)["tensors"]
    first_training = next((s["epochs"][0] - 1 for s in stages if 0 not in s["frozen"]), "end")
    assert fates["model.0.conv.weight"].get("frozen_until") == (first_training or None)


def layer_of(name: str) -> int:
    return int(name.split(".")[1])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_with_and_without_files(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {"strategy": "freeze", "epochs": 3, "views": 2}
    first = train(config(shapes, small_checkpoint, tmp_path / "a", **settings)).run
    filed = Budget(memory=0, disk=1 << 30, folder=tmp_path)
    monkeypatch.setattr(Budget, "of_this_machine", lambda *_: filed)
    second = train(config(shapes, small_checkpoint, tmp_path / "b", **settings)).run
    a, b = tensors(first.last), tensors(second.last)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert not list(tmp_path.glob("detect-tl-features-*"))


@pytest.mark.slow
def test_without_room_frozen_layers_answer_in_every_epoch(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a view was kept")

    monkeypatch.setattr(FeatureViews, "view", refuse)
    settings: dict[str, object] = {"strategy": "freeze", "epochs": 1, "cache_limit": 1e-6}
    said = Said()
    run = train(config(shapes, small_checkpoint, tmp_path / "run", **settings), said).run
    assert any("no room to keep features" in line for line in said.lines)
    before, after = tensors(small_checkpoint), tensors(run.last)
    assert torch.equal(before["model.0.conv.weight"], after["model.0.conv.weight"])


class StopError(Exception):
    pass


@pytest.mark.slow
def test_a_run_resumed_with_less_room_keeps_as_many_views_or_says_that_it_cannot(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {"strategy": "freeze", "epochs": 3, "views": 2}
    whole = train(config(shapes, small_checkpoint, tmp_path / "whole", **settings)).run
    save = DetectionTransferTrainer._save_state

    def cut(trainer: Any, epoch: int) -> None:
        save(trainer, epoch)
        if epoch == 0:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(DetectionTransferTrainer, "_save_state", cut)
        with pytest.raises(StopError):
            train(config(shapes, small_checkpoint, tmp_path / "cut", **settings))
    with monkeypatch.context() as patch:
        patch.setattr(Budget, "views", lambda *_: (1, True))
        with pytest.raises(MachineError, match="2 views"):
            resume(tmp_path / "cut")
    monkeypatch.setattr(Budget, "views", lambda *_: (2, False))
    resumed = resume(tmp_path / "cut").run
    a, b = tensors(whole.last), tensors(resumed.last)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


class Said(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Pictures:
    """A data set as Ultralytics has it, whose pictures say which one they are."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.full((3, 8, 8), index, dtype=torch.uint8)
        image[1] = int(torch.randint(256, ()))
        boxes = torch.full((index % 3, 4), float(index))
        return {"img": image, "bboxes": boxes, "batch_idx": torch.zeros(len(boxes))}

    @staticmethod
    def collate_fn(samples: list[dict[str, Any]]) -> dict[str, Any]:
        for place, sample in enumerate(samples):
            sample["batch_idx"] += place  # in place, as Ultralytics does
        names = ("bboxes", "batch_idx")
        return {name: torch.cat([sample[name] for sample in samples]) for name in names}


class Loader:
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return (len(self.dataset) + 1) // 2


def front(images: torch.Tensor) -> dict[int, torch.Tensor]:
    return {4: images[:, :2, ::2, ::2] * 255, 6: images[:, :1, ::4, ::4] * 255}


def views_of(dataset: Any, work: Callable[..., Any] = front) -> FeatureViews:
    cpu = torch.device("cpu")
    return FeatureViews(lambda _: dataset, work, seed=3, batch=2, device=cpu, dtype=torch.float16)


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_batches_hold_what_the_frozen_layers_answered_to_their_pictures(
    tmp_path: Path, memory: int
) -> None:
    dataset = Pictures(5)
    kept = views_of(dataset)
    assert kept.plan(3, 8, Budget(memory, 1 << 20, tmp_path)) == 3
    for _ in range(2):  # nothing changes by being used
        batches = list(FeatureBatches(kept.view(0), Loader(dataset), 2, seed=1))
        assert [len(batch["img"]) for batch in batches] == [2, 2, 1]
        seen = []
        for batch in batches:
            assert batch["img"].shape[1:] == (3, 8, 8)
            which = batch["maps"][6][:, 0, 0, 0].int().tolist()
            assert batch["maps"][4][:, 0, 0, 0].int().tolist() == which
            expected = [(place, w) for place, w in enumerate(which) for _ in range(w % 3)]
            assert (
                list(
                    zip(
                        batch["batch_idx"].int().tolist(),
                        batch["bboxes"][:, 0].int().tolist(),
                        strict=True,
                    )
                )
                == expected
            )
            seen += which
        assert sorted(seen) == [0, 1, 2, 3, 4]


def test_a_view_depends_on_its_number_and_the_seed_alone() -> None:
    first, second = views_of(Pictures(4)), views_of(Pictures(4))
    first.view(0)
    torch.rand(100)
    a, b = first.view(1).maps[4], second.view(1).maps[4]
    assert torch.equal(a, b)
    assert not torch.equal(a, first.view(0).maps[4])


def test_a_view_is_computed_once() -> None:
    asked: list[int] = []

    def work(images: torch.Tensor) -> dict[int, torch.Tensor]:
        asked.append(len(images))
        return front(images)

    kept = views_of(Pictures(5), work)
    kept.view(0)
    kept.view(0)
    assert asked == [2, 2, 1]


@pytest.mark.parametrize(
    ("memory", "disk", "expected"),
    [
        (1000, 0, (4, True)),
        (350, 9000, (3, True)),  # fewer in memory go before more in files
        (150, 9000, (4, False)),
        (150, 120, (1, False)),
        (50, 90, (0, False)),
    ],
)
def test_the_budget_is_never_exceeded(
    tmp_path: Path, memory: int, disk: int, expected: tuple[int, bool]
) -> None:
    views, held = Budget(memory, disk, tmp_path).views(4, 100)
    assert (views, held) == expected
    assert views * 100 <= (memory if held else disk)


def test_a_limit_bounds_both() -> None:
    budget = Budget.of_this_machine(torch.device("cpu"), limit=1000)
    assert (budget.memory, budget.disk) == (1000, 1000)


@pytest.mark.parametrize(("images", "batch"), [(1, 4), (150, 4), (205, 8), (384, 16), (5000, 16)])
def test_small_data_sets_get_small_batches(images: int, batch: int) -> None:
    assert batch_for(images) == batch
