"""Training by processes of a cluster gives what a local training gives."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from click.testing import CliRunner

from detect_tl import api
from detect_tl.cli.app import app
from detect_tl.core.embedded import embedded_sample
from detect_tl.core.errors import GateError, MachineError, UsageError
from detect_tl.core.files import read_json, write_json
from detect_tl.models.checkpoint import load_checkpoint, same_tensors
from detect_tl.scale.cluster import Cluster
from detect_tl.scale.train import _keeper, train
from detect_tl.training.folder import RunFolder
from tests.training.conftest import (  # noqa: F401  # fixtures
    shapes,
    small_checkpoint,
    write_checkpoint,
)

pytestmark = pytest.mark.slow

BACKBONE = 11  # layers of yolo11n


@pytest.fixture(autouse=True)
def _as_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums depend on the number of threads in their last bits; there are two cores here too."""
    monkeypatch.setattr("detect_tl.training.precision.available_cores", lambda: 2)


@pytest.fixture
def settings(shapes: Path, small_checkpoint: Path) -> dict[str, Any]:  # noqa: F811
    small = {"epochs": 2, "imgsz": 64, "batch": 4, "device": "cpu", "amp": False}
    return {"data": shapes, "weights": str(small_checkpoint), **small}


def rows(run: Path) -> list[dict[str, str]]:
    """The metrics of every epoch, save the time that it took."""
    with (run / "metrics.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    return [{name: value for name, value in row.items() if name != "time"} for row in found]


def epochs(run: Path) -> list[int]:
    return [int(row["epoch"]) for row in rows(run)]


def names(run: Path) -> set[str]:
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith("tensorboard")}


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).model.float().state_dict()


def test_one_process_is_a_local_run_to_the_bit(
    two_cores: Cluster,
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    """With mosaics, augmentation and kept features; from the command line."""
    here = api.train(out=tmp_path / "here", **settings)
    words = {name: str(value) for name, value in settings.items()}
    del words["amp"]
    data, out = words.pop("data"), tmp_path / "there"
    flags = [text for name, value in words.items() for text in (f"--{name}", value)]
    ray = ["--engine", "ray", "--out", str(out), "--json"]
    done = CliRunner().invoke(app, ["train", data, "--no-amp", *flags, *ray])
    assert done.exit_code == 0, done.output
    assert rows(out) == rows(here.run)
    assert same_tensors(here.best, out / "weights" / "best.pt")
    assert same_tensors(here.last, out / "weights" / "last.pt")
    assert names(out) - {"cluster.json"} == names(here.run)
    assert read_json(out / "cluster.json") == {"processes": 1, "cores": 2, "gpu": False}
    assert read_json(out / "config.json") == {
        **read_json(here.run / "config.json"),
        "out": str(out),
    }


def test_two_processes_make_the_same_steps(
    two_cores: Cluster,
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Where nothing depends on which picture lies in which process: no augmentation, and BatchNorm
    as it was transferred, since old classes are kept, which is also a lesson from a teacher."""
    settings |= {"freeze": "none", "augment": "none", "keep_classes": ("class 1",)}
    settings |= {"keep_by": "distil", "optimizer": "SGD", "lr": 0.001, "measure_start": True}
    here = api.train(out=tmp_path / "here", **settings)
    there = train(workers=2, out=tmp_path / "there", **settings)
    for one, other in zip(rows(here.run), rows(there.run), strict=True):
        expected = {name: float(value) for name, value in one.items()}
        found = {name: float(value) for name, value in other.items()}
        assert found == pytest.approx(expected, rel=2e-3, abs=2e-5, nan_ok=True)
    one, other, before = (tensors(p) for p in (here.last, there.last, Path(settings["weights"])))
    moved = 0.0
    for name, value in one.items():
        assert torch.allclose(other[name], value, rtol=1e-2, atol=2e-3), name
        if before[name].shape == value.shape:
            moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 0.01


@pytest.mark.parametrize(
    "refused",
    [
        ({"workers": 3}, MachineError, "room for 2"),
        ({"workers": 2, "device": "0"}, MachineError, "0 GPUs for 2 processes"),
        ({"workers": 2, "batch": 3}, UsageError, "3 images cannot be divided evenly among 2"),
        ({"workers": 2, "epochs": 0}, UsageError, "nothing to share"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    two_cores: Cluster,
    settings: dict[str, Any],
    tmp_path: Path,
    refused: tuple[dict[str, Any], type[Exception], str],
) -> None:
    more, kind, words = refused
    with pytest.raises(kind, match=words):
        train(out=tmp_path / "run", **settings | more)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_a_process_arrives_as_it_is_and_is_not_tried_again(
    two_cores: Cluster,
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    content = torch.load(settings["weights"], weights_only=False)
    with torch.no_grad():
        content["model"].float().model[9].cv1.conv.weight.fill_(3e38)  # the next sum is infinite
    torch.save(content, tmp_path / "broken.pt")
    settings |= {"weights": str(tmp_path / "broken.pt"), "freeze": "none"}
    with pytest.raises(GateError, match="no longer a number in epoch") as caught:
        train(workers=2, out=tmp_path / "run", **settings)
    assert caught.value.hint
    assert caught.value.path == tmp_path / "run"  # not where the process has trained
    assert (tmp_path / "run" / "weights" / "resume.pt").is_file()


class KillsOne:
    """Kills a process that trains when an epoch has been kept."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def say(self, text: str) -> None: ...

    def step(self, *_: object) -> Any:
        return self

    def __enter__(self) -> KillsOne:
        return self

    def __exit__(self, *_: object) -> None: ...

    def describe(self, text: str) -> None: ...

    def advance(self, *_: float) -> None:
        if (self._run / "metrics.csv").exists() and epochs(self._run):
            living = psutil.process_iter(["pid", "ppid", "cmdline"], ad_value=())
            names = {p.info["pid"]: " ".join(p.info["cmdline"]) for p in living}
            ours = {p.pid for p in psutil.Process().children(recursive=True)}
            for pid in sorted(pid for pid in ours if "RayTrainWorker" in names.get(pid, ""))[:1]:
                os.kill(pid, signal.SIGKILL)


def test_what_a_cluster_has_begun_a_single_machine_can_finish(
    two_cores: Cluster,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kept features of its share of the pictures; the single machine keeps those of all."""
    monkeypatch.setattr("detect_tl.scale.train._MOST_LOSSES", 0)
    run = tmp_path / "run"
    settings |= {"epochs": 12, "strategy": "freeze"}  # enough for it to be noticed in time
    with pytest.raises(MachineError, match=r"process \d was lost") as caught:
        train(workers=2, out=run, progress=KillsOne(run), **settings)
    assert "detect-tl resume" in caught.value.hint
    done = len(epochs(run))
    assert 1 <= done < 12
    result = api.resume(run)
    assert epochs(result.run) == list(range(1, 13))
    assert RunFolder(result.run).finished
    before, after = tensors(Path(settings["weights"])), tensors(result.last)
    frozen = [name for name in before if int(name.split(".")[1]) < BACKBONE]
    assert any("running_var" in name for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)


def test_what_is_being_written_is_whole_when_the_keeper_ends(
    two_cores: Cluster, tmp_path: Path
) -> None:
    files = {f"{number}.bin": bytes(2**20) for number in range(200)}
    run = RunFolder(tmp_path)
    write_json(run.path / "dataset.json", {"path": str(tmp_path)})
    with _keeper(run) as keeper:
        keeper.keep.remote(0, files)
    assert {path.name for path in tmp_path.iterdir()} == {*files, "dataset.json"}


@pytest.mark.parametrize("what", ["replay", "branch", "yolo26n-seg"])
def test_one_process_is_a_local_run_also(
    two_cores: Cluster, settings: dict[str, Any], tmp_path: Path, what: str
) -> None:
    """With old pictures beside the new ones and all old classes kept; with layers of their own for
    kept ones; and as a segmenter of the kind that finds every object once."""
    settings |= {"epochs": 1, "strategy": "head"}
    if what == "replay":
        settings |= {"replay": known(Path(settings["data"]), tmp_path)}
        settings |= {"keep_classes": ("all",), "keep_by": "distil"}
    elif what == "branch":
        settings |= {"keep_classes": ("class 1",)}
    else:
        weights = write_checkpoint(tmp_path / "yolo26n.pt", "yolo26n")
        settings |= {"data": some_of_the_sample(tmp_path / "data"), "task": "segment"}
        settings |= {"weights": str(weights)}
    here = api.train(out=tmp_path / "here", **settings)
    there = train(workers=1, out=tmp_path / "there", **settings)
    assert rows(there.run) == rows(here.run)
    assert same_tensors(here.best, there.best)
    assert same_tensors(here.last, there.last)


def known(data: Path, folder: Path) -> Path:
    """The same pictures, as other files, in which the discs are of a class that weights know."""
    old = shutil.copytree(data, folder / "old")
    text = (old / "data.yaml").read_text()
    (old / "data.yaml").write_text(text.replace("disc", "class 7"))
    for picture in old.rglob("*.png"):
        with picture.open("ab") as stream:
            stream.write(b"old")
    return old


def some_of_the_sample(folder: Path) -> Path:
    sample = embedded_sample()
    assert sample is not None
    folder.mkdir()
    for path in sorted((sample / "images").iterdir())[:20]:  # each with its outlines
        shutil.copy(path, folder)
    return folder
