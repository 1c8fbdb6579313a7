"""`detect-tl adapt`: what it prints and its exit codes. What it computes is tested in tests/api."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run, refused

SIDE = ("--imgsz", "64", "--device", "cpu")


def test_a_plan_is_only_told(
    run: Run, small_checkpoint: Path, shapes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    pictures = shapes / "images" / "train"
    result = run("adapt", small_checkpoint, "--images", pictures, "--out", out, "--plan", *SIDE)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "pictures: 8 to learn from, 4 others to judge on",
        (
            "statistics: BatchNorm on 8 pictures, weight 33%; only in the first two layers, for"
            " want of the model's own training pictures"
        ),
        (
            "self-training: 2 rounds of 4 epochs at 64 pixels, frozen: backbone; gates: derived"
            " from agreement"
        ),
        (
            "judged by agreement between each picture and its mirror image, for want of labels;"
            " without a sure gain the model stays as it was"
        ),
    ]
    assert not list(tmp_path.iterdir())


def test_a_model_that_stays_as_it_was_fails_the_gate(
    run: Run, small_checkpoint: Path, shapes: Path, tmp_path: Path
) -> None:
    """Weights of chance find nothing, and nothing makes them better."""
    pictures, out = shapes / "images" / "train", tmp_path / "run"
    arguments = ("adapt", small_checkpoint, "--images", pictures, "--rounds", "1", *SIDE)
    result = run(*arguments, "--out", out)
    assert result.exit_code == 1, result.output
    assert "the model stays as it was: no labels are given" in result.stderr
    assert f"{out} holds it unchanged" in result.stderr
    assert "nothing to teach" in result.stderr
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0] == ["model", "agreement", "found", "again", "objects"]
    assert [line[0] for line in lines[2:4]] == ["as", "statistics"]
    assert (out / "weights" / "best.pt").read_bytes() == small_checkpoint.read_bytes()

    said = json.loads(run(*arguments, "--out", tmp_path / "again", "--json", "-q").stdout)
    assert (said["adapted"], said["chosen"]) == (False, "as it was")
    told = json.loads((out / "adaptation.json").read_text())
    assert [each["name"] for each in said["tried"]] == ["as it was", "statistics"]
    assert said["tried"] == told["tried"]


def test_labels_of_other_classes_judge_nothing(
    run: Run, small_checkpoint: Path, shapes: Path, tmp_path: Path
) -> None:
    arguments = ("adapt", small_checkpoint, "--images", shapes / "images" / "train", *SIDE)
    result = run(*arguments, "--data", shapes, "--out", tmp_path / "run")
    refused(result, 3, "no object of a class that the model knows", "The model knows class 0")
    assert not (tmp_path / "run").exists()


def test_wrong_usage_is_refused(
    run: Run, small_checkpoint: Path, shapes: Path, tmp_path: Path
) -> None:
    refused(run("adapt", small_checkpoint), 2, "--images")
    refused(run("adapt", small_checkpoint, "--images", tmp_path / "none"), 2, "is no folder")
    refused(run("adapt", small_checkpoint, "--images", tmp_path), 3, "0 pictures", "12 are needed")
    pictures = ("--images", shapes / "images" / "train", "--plan")
    refused(run("adapt", small_checkpoint, *pictures, "--imgsz", "100"), 2, "multiple of 32")
    refused(run("adapt", small_checkpoint, *pictures, "--freeze", "99"), 2, "first 99 layers")
    refused(run("adapt", "yolo12q", "--images", tmp_path), 4, "yolo12q")
