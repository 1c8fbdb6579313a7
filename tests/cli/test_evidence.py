"""The commands that say how good a model is: eval, compare, rerun, and predict --conf auto."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser
from tests.cli.conftest import Run, process, refused
from tests.cli.test_line import SMALL, quiet_environment
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def train(shapes: Path, checkpoint: Path, out: Path, *more: object) -> dict[str, Any]:
    arguments = ["train", shapes, "--weights", checkpoint, "--out", out]
    done = process([*arguments, *SMALL, *more, "--json"], env=quiet_environment())
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def learned(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned something, from weights that have."""
    out = tmp_path_factory.mktemp("evidence") / "learned"
    settings = ("--epochs", "20", "--strategy", "freeze", "--imgsz", "96")
    train(shapes, ROOT / "weights" / "starter.pt", out, *settings)
    return out


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_holds_its_evidence(learned: Path) -> None:
    said = json.loads((learned / "metrics.json").read_text())["analysis"]
    whole = said["intervals"]["mAP50-95"]
    assert whole["low"] <= whole["value"] <= whole["high"]
    assert set(said["errors"]["kinds"]) == {
        "class", "location", "both", "duplicate", "background", "missed"
    }  # fmt: skip
    thresholds = json.loads((learned / "thresholds.json").read_text())
    best = {name: each["confidence"] for name, each in said["working"].items()}
    assert thresholds == {name: value for name, value in best.items() if value is not None}
    assert thresholds, "this run has learned nothing at all"
    page = (learned / "report.html").read_text()
    assert 'href="mistakes.html"' in page
    assert "Where it fails" in page
    assert "Missed objects" in (learned / "mistakes.html").read_text()


@pytest.mark.parametrize("width", [375, 1100])
def test_its_pages_open_from_disk(learned: Path, tmp_path: Path, width: int) -> None:
    with browser(tmp_path) as tab:
        for name in ("report.html", "mistakes.html"):
            tab.show(learned / name, width)
            assert tab.requests == []
            assert tab.complaints == []
            assert tab.value("document.documentElement.scrollWidth") <= width


def test_an_export_shows_in_the_report(run: Run, learned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(learned, folder)
    (folder / "best.onnx").unlink(missing_ok=True)
    assert "parity gate" not in (folder / "report.html").read_text()
    result = run("export", folder, "--json")
    assert result.exit_code == 0, result.output
    kept = json.loads((folder / "export.json").read_text())
    assert kept == json.loads(result.stdout)
    page = (folder / "report.html").read_text()
    assert "parity gate held" in page
    assert page.count('aria-label="truth of') == 6
    assert "images/s at 96x96" in page
    # an export to elsewhere is not the run's
    assert run("export", folder, "--out", tmp_path / "x.onnx").exit_code == 0
    assert json.loads((folder / "export.json").read_text()) == kept


def test_an_evaluation_changes_nothing_in_a_run(run: Run, learned: Path, tmp_path: Path) -> None:
    before = contents(learned)
    out = tmp_path / "evaluation"
    result = run("eval", learned, "--out", out, "--json", "--resamples", "50")
    assert result.exit_code == 0, result.output
    assert contents(learned) == before
    names = ["evaluation.json", "predictions.json", "mistakes.html"]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    said = json.loads(result.stdout)
    assert said["files"] == [str(out / name) for name in names]
    kept = json.loads((out / "evaluation.json").read_text())
    assert kept["analysis"] == said["analysis"]
    results = json.loads((out / "predictions.json").read_text())
    assert len(results) == said["detections"]
    assert {result["category_name"] for result in results} <= {"disc", "square"}
    names = {path.name for path in (learned / "dataset" / "images" / "val").iterdir()}
    assert {Path(result["file_name"]).name for result in results} <= names
    refused(run("eval", learned, "--out", out), 2, "not empty")


@pytest.mark.parametrize("engine", ["faster-coco-eval", "pycocotools"])
def test_engines_say_the_same(run: Run, learned: Path, engine: str) -> None:
    result = run("eval", learned, "--engine", engine, "--json", "--resamples", "0")
    said = json.loads(result.stdout)
    trained = json.loads((learned / "metrics.json").read_text())
    assert said["engine"] == engine
    assert said["box"]["mAP50-95"] == pytest.approx(trained["box"]["mAP50-95"], abs=1e-6)
    assert said["analysis"]["intervals"]["mAP50-95"]["low"] is None


def test_eval_reads_well(run: Run, learned: Path) -> None:
    result = run("eval", learned)
    assert result.exit_code == 0, result.output
    for words in ("with 95 % confidence", "best conf", "cost in mAP50", "calibration"):
        assert words in result.stdout


def test_predict_takes_the_best_confidence_of_every_class(
    run: Run, learned: Path, shapes: Path, tmp_path: Path
) -> None:
    images = shapes / "images" / "val"
    result = run("predict", learned, images, "--conf", "auto", "--out", tmp_path / "auto", "-q")
    assert result.exit_code == 0, result.output
    thresholds = json.loads((learned / "thresholds.json").read_text())
    lines = [
        json.loads(line)
        for file in (tmp_path / "auto").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    found = [item for line in lines for item in line["detections"]]
    assert found
    assert all(item["score"] > thresholds.get(item["class"], 0.25) for item in found)
    # the exported file lies in the run, which knows them
    again = run("predict", learned / "best.onnx", images, "--conf", "auto", "--out", tmp_path / "b")
    assert again.exit_code == 0, again.output
    lonely = tmp_path / "lonely.onnx"
    shutil.copy(learned / "best.onnx", lonely)
    refused(run("predict", lonely, images, "--conf", "auto"), 2, "keeps no thresholds")
    refused(run("predict", lonely, images, "--conf", "most"), 2, "neither a number, nor auto")
    refused(run("predict", lonely, images, "--conf", "1.5"), 2, "between 0 and 1")


def test_compare_tells_better_from_worse(
    run: Run, learned: Path, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    poor = tmp_path / "poor"
    train(shapes, small_checkpoint, poor, "--epochs", "1")
    before = contents(poor)
    out = tmp_path / "comparison"
    result = run("compare", poor, learned, poor, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert contents(poor) == before
    first, second, third = said["models"]
    assert first["against_first"] is None
    assert second["against_first"]["verdict"] == "better"
    assert second["against_first"]["p_value"] < 0.05
    assert third["against_first"]["value"] == 0
    assert third["against_first"]["verdict"] == "no difference shown"
    assert said["settings"]["epochs"] == [1, 20, 1]
    assert "seed" not in said["settings"]
    assert first["epochs"] == 1
    assert first["training_seconds"] > 0
    page = (out / "comparison.html").read_text()
    assert str(learned) in page
    assert "<svg" in page
    text = run("compare", poor, learned)
    assert "better" in text.stdout
    refused(run("compare", poor), 2, "Name two models")
    refused(run("compare", small_checkpoint, poor), 2, "--data")


def test_rerun_repeats_a_run_to_the_bit(
    run: Run, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    train(shapes, small_checkpoint, first, "--epochs", "2", "--augment", "light", "--seed", "5")
    before = contents(first)
    result = run("rerun", first, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["same"]
    assert said["environment"] == {}
    assert Path(said["again"]["run"]) == tmp_path / "first-again"
    assert contents(first) == before


def test_rerun_says_what_is_not_the_same(
    run: Run, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.pt"
    shutil.copy(small_checkpoint, weights)
    first = tmp_path / "first"
    train(shapes, weights, first, "--epochs", "1")
    config = json.loads((first / "config.json").read_text())
    (first / "config.json").write_text(json.dumps({**config, "seed": 9}))  # not what was done
    environment = json.loads((first / "environment.json").read_text())
    environment["packages"]["torch"] = "1.0"
    (first / "environment.json").write_text(json.dumps(environment))
    result = run("rerun", first, "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)  # one document
    assert not said["same"]
    assert "torch" in str(said["environment"])
    assert said["differs_from_epoch"] == 1
    assert "is not that of" in result.stderr
    truth = first / "dataset" / "annotations" / "train.json"
    truth.write_text(truth.read_text() + "\n")
    refused(run("rerun", first, "--out", tmp_path / "x"), 3, "have changed")
    truth.write_text(truth.read_text()[:-1])
    weights.write_bytes(weights.read_bytes() + b"0")
    refused(run("rerun", first, "--out", tmp_path / "x"), 4, "another file")
    weights.unlink()
    refused(run("rerun", first, "--out", tmp_path / "x"), 4, "are gone")
    assert not (tmp_path / "x").exists()
