"""`detect-tl oneshot`: what it prints, and that its run can be used like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detect_tl.api.oneshots import StudyResult
from detect_tl.evaluation.shots import Shots, Study, Trial
from tests.cli.conftest import Run, refused


@pytest.fixture
def studied(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reached the api, which answers at once."""
    seen: dict[str, Any] = {}

    def answer(data: Path, *, progress: object, **settings: Any) -> StudyResult:
        seen.update(settings, data=data)
        trials = tuple(Trial(k, 2 + k, 0.3, 0.1, 2.0, 31.0) for k in range(2))
        study = Study(settings["against"], (Shots(1, trials),))
        return StudyResult(settings["out"], data, "yolo11n", settings["strategy"], study)

    monkeypatch.setattr("detect_tl.api.oneshot_study", answer)
    return seen


def test_a_study_is_a_table_and_a_verdict(run: Run, studied: dict[str, Any]) -> None:
    result = run("oneshot", "pictures", "--shots", "1,5", "--against", "7", "--out", "few")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert lines[1].split("  ")[0] == "of each class"
    assert lines[3].split()[:3] == ["1", "2.5", "0.300"]
    assert lines[-3:] == [
        "trained by freeze from yolo11n; runs and figures: few",
        f"picture: {Path('few', 'oneshot.png')}",
        "verdict: imprinting alone is better with 1 picture of a class",
    ]
    assert (studied["shots"], studied["seeds"], studied["against"]) == ((1, 5), 3, 7)
    assert not {"epochs", "lr", "freeze"} & studied.keys()


def test_a_plan_writes_nothing(
    run: Run, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    asked = ("oneshot", shapes, "--weights", small_checkpoint, "--out", tmp_path / "few", "--plan")
    alone, study = run(*asked), run(*asked, "--shots", "1,3")
    assert (alone.exit_code, study.exit_code) == (0, 0)
    assert "1 of each class: 3 draws, of " in study.stdout
    assert study.stdout.startswith(alone.stdout)
    refused(run(*asked, "--task", "segment"), 2, "masks")
    assert not (tmp_path / "few").exists()


def test_wrong_usage_is_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "few")
    for shots in ("0", "a", "1,,2", ""):
        refused(run("oneshot", pictures, "--shots", shots, *out), 2, "--shots")
    refused(run("oneshot", pictures, "--epochs", "3", *out), 2, "--epochs")
    refused(run("oneshot", pictures, "--task", "segment", *out, "--weights", "starter"), 2, "masks")
    assert not (tmp_path / "few").exists()


@pytest.mark.slow
def test_a_run_without_training_is_used_like_any_other(
    run: Run, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    out, small = tmp_path / "now", ("--imgsz", "96", "--device", "cpu")
    done = run("oneshot", shapes, "--weights", small_checkpoint, "--out", out, *small, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["epochs"], said["names"]) == (0, ["disc", "square"])
    assert (out / "report.html").is_file()
    assert said["evaluation"]["box"]["mAP50-95"] is not None

    measured = run("eval", out, "--json", "--device", "cpu")
    assert json.loads(measured.stdout)["box"] == said["evaluation"]["box"]
    again = run("rerun", out, "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["same_weights"] is True
    found = run("predict", out, shapes / "images/val", "--out", tmp_path / "seen")  # by its export
    assert found.exit_code == 0, found.output
    assert (out / "best.onnx").is_file()


@pytest.mark.slow
def test_nine_photos_of_fruits_are_enough(run: Run, shared: Path, tmp_path: Path) -> None:
    """Dates, figs and hazelnuts on plain ground, none of which COCO knows."""
    weights = shared / "weights" / "yolo11n.pt"
    settings = ("--imgsz", "320", "--split", "0.5,0.5", "--device", "cpu", "--json")
    data, out = shared / "data" / "labelme_fruitnuts", tmp_path / "now"
    done = run("oneshot", data, "--weights", weights, "--out", out, *settings)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)["evaluation"]
    assert said["box"]["mAP50"] > 0.8
