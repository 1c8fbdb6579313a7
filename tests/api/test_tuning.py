"""`tune` on a tiny data set: refusals, and searches whose trials are really trained."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from detect_tl import api
from detect_tl.api.tuning import TuneResult
from detect_tl.cli.app import app
from detect_tl.core.errors import DetectTLError, UsageError
from detect_tl.core.files import read_json, walk_files
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.cache import FeatureCache, View
from detect_tl.training.folder import RunFolder
from tests.training.conftest import shapes  # noqa: F401  # a fixture


@pytest.fixture
def settings(shapes: Path, repository: Path, tmp_path: Path) -> dict[str, Any]:  # noqa: F811
    return {
        "data": shapes,
        "weights": str(repository / "weights" / "starter.pt"),  # it finds discs after an epoch
        "out": tmp_path / "tuned",
        "trials": 3,
        "epochs": 2,
        "imgsz": 64,
        "device": "cpu",
        "workers": 0,
    }


def test_a_plan_says_what_would_be_tried(settings: dict[str, Any]) -> None:
    out = settings.pop("out")
    plan = api.tune_plan(**settings, lr=0.01, minutes=5)
    lines = plan.summary()
    assert lines[0] == "3 trials of 2 epochs at most, none begins after 5 minutes"
    assert "after epoch 1" in lines[1]
    assert any("strategy freeze" in line for line in lines)
    axes = {line.strip().partition(":")[0] for line in lines[lines.index("searched:") + 1 :]}
    assert axes == {"strategy", "freeze", "batch", "augment", "mosaic", "views"}
    assert plan.as_json()["rungs"] == [1]
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": 0}, "nothing to tune"),
        ({"trials": 0}, "try nothing"),
        ({"first_rung": 3}, "stopped after epoch 3: there are 2"),
        ({"patienec": 3}, "unknown setting 'patienec'"),
        ({"space": "lr: {low: 0.1, high: -1}"}, "low below high"),
        ({"space": "mosaic: [2.0]"}, "mosaic is 2.0"),
        ({"space": "strategy: [frieze]"}, "frieze"),
        ({"space": "augment: [hevy]"}, "hevy"),
        ({"space": "freeze: [99]"}, "cannot freeze the first 99 layers"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    settings: dict[str, Any], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    if "space" in changes:
        (tmp_path / "space.yaml").write_text(changes["space"])
        changes = {"space": tmp_path / "space.yaml"}
    with pytest.raises(DetectTLError, match=says):
        api.tune(**{**settings, **changes})
    assert not settings["out"].exists()


# -- for real --------------------------------------------------------------------------------


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).model.state_dict()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in walk_files(folder)}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the views that were computed."""
    names: list[str] = []
    put = FeatureCache.put

    def watched(cache: FeatureCache, key: str, parts: Iterable[View]) -> View:
        names.append(key)
        return put(cache, key, parts)

    monkeypatch.setattr(FeatureCache, "put", watched)
    return names


@pytest.mark.slow
def test_a_search_over_rates_computes_features_once_and_ends_in_a_run(
    settings: dict[str, Any], tmp_path: Path, computed: list[str]
) -> None:
    (tmp_path / "space.yaml").write_text("lr: {low: 0.0001, high: 0.01}\n")
    asked = {**settings, "strategy": "freeze", "space": tmp_path / "space.yaml"}
    result = api.tune(**asked)
    assert len(computed) == len(set(computed)) == 2  # of the first trial; one for each epoch

    records = result.records
    assert [record.number for record in records] == [0, 1, 2]
    assert result.tuning.best.best == max(record.best or 0.0 for record in records)
    for record in records:
        run = RunFolder.open(settings["out"] / "trials" / f"{record.number:03}")
        rows = run.epochs()
        assert [row["metrics/mAP50-95(B)"] for row in rows.values()] == list(record.values)
        assert record.epochs == (1 if record.ending == "stopped" else 2)
        assert not run.resume_state.exists()
        kept = record.number in (0, result.tuning.best.number)
        assert run.best.exists() is run.last.exists() is kept
        if not kept:
            with pytest.raises(UsageError, match="has finished"):
                api.resume(run.path)
    assert (result.best / "report.html").is_file()
    assert result.picture.is_file()
    assert result.report.is_file()
    assert read_json(result.figures) == json.loads(json.dumps(result.as_json()))
    assert not list((settings["out"] / "trials").glob("*/dataset"))  # one for all

    before = contents(settings["out"])
    assert api.tune(**asked).as_json() == result.as_json()
    changed = {p for p, b in contents(settings["out"]).items() if before.get(p) != b}
    assert {path.suffix for path in changed} <= {".png", ".html", ".json"}
    assert not any("trials" in path.parts for path in changed)
    for other, says in (
        ({"lr": 0.1}, "lr is searched here, and also given as 0.1"),
        ({"epochs": 3}, "epochs was 2 and is now 3"),
        ({"first_rung": 2}, "first_rung was None and is now 2"),
        ({"space": None}, "space was"),
    ):
        with pytest.raises(UsageError, match=says):
            api.tune(**{**asked, **other})


@pytest.mark.slow
def test_the_test_split_is_measured_beside_the_best_and_its_command_repeats_it(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    api.split(settings["data"], prepared, sizes=(0.5, 0.25, 0.25))
    result = api.tune(**{**settings, "data": prepared, "trials": 1, "epochs": 1})
    assert list(result.tuning.test) == [0]
    assert "on the test split" in result.tuning.caution
    assert not (settings["out"] / "dataset").exists()
    done = CliRunner().invoke(app, shlex.split(result.command)[1:])
    assert done.exit_code == 0, done.output
    runs = (settings["out"] / "best", result.best)
    again, best = (tensors(run / "weights" / "best.pt") for run in runs)
    assert [name for name in best if not torch.equal(best[name], again[name])] == []


def arguments(settings: dict[str, Any]) -> list[str]:
    rest = {name: value for name, value in settings.items() if name != "data"}
    options = [part for name, value in rest.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "detect_tl", "tune", str(settings["data"]), *options]


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_end(settings: dict[str, Any], tmp_path: Path) -> None:
    asked = {**settings, "epochs": 4, "strategy": "full"}
    whole = api.tune(**{**asked, "out": tmp_path / "whole"}, keep_all=True)
    child = subprocess.Popen(
        arguments(asked), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    killed = RunFolder(settings["out"] / "trials" / "000")
    deadline = time.monotonic() + 300
    while len(epochs(killed)) < 2 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not killed.trial.exists()
    assert len(epochs(killed)) < 4
    again = api.tune(**asked, keep_all=True)
    assert outcome(again) == outcome(whole)
    assert again.tuning.verdict == whole.tuning.verdict
    for record in whole.records:
        paths = (
            r.folder / "trials" / f"{record.number:03}/weights/last.pt" for r in (again, whole)
        )
        ours, theirs = map(tensors, paths)
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def epochs(run: RunFolder) -> list[str]:
    if not run.metrics.exists():
        return []
    with run.metrics.open(newline="") as stream:
        return [row["epoch"] for row in csv.DictReader(stream)]


def outcome(result: TuneResult) -> list[Any]:
    return [(r.number, r.settings, r.values, r.ending) for r in result.records]
