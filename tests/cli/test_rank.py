"""`detect-tl weights rank`, for real, on pictures and weights small enough for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detect_tl.core.files import walk_files
from tests.cli.conftest import Run, refused


@pytest.fixture
def arguments(shapes: Path, small_checkpoint: Path) -> list[Any]:
    small = ["--imgsz", "96", "--images", "8", "--device", "cpu"]
    return ["weights", "rank", shapes, small_checkpoint, "starter", "random", *small]


def test_candidates_are_ranked_and_nothing_is_written(
    run: Run, arguments: list[Any], shapes: Path
) -> None:
    before = list(walk_files(shapes))
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert list(walk_files(shapes)) == before
    said = json.loads(result.stdout)
    scores = [each["score"] for each in said["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert said["candidates"][0]["weights"] == "starter"  # it has seen toys, the others nothing
    assert scores[0] > 0.05
    assert {each["weights"] for each in said["candidates"][1:]} == {str(arguments[3]), "random"}
    assert said["images"] == 8
    assert said["verdict"].startswith("start from starter, --freeze ")
    for each in said["candidates"]:
        assert [(d["freeze"], d["layers"]) for d in each["depths"]] == [
            ("neck", 23),
            ("backbone", 11),
            ("5", 5),
        ]
        assert all(0 <= d[kind] <= 1 for d in each["depths"] for kind in ("classes", "boxes"))
    again = json.loads(run(*arguments, "--json").stdout)
    for one, other in zip(said["candidates"], again["candidates"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_table_says_what_it_is_based_on(run: Run, arguments: list[Any]) -> None:
    result = run(*arguments[:-6], "random", *arguments[-6:], "--depths", "neck")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    assert "freeze neck" in lines[0]
    assert "freeze backbone" not in lines[0]
    assert any("8 images with 16 objects at 96 px" in line for line in lines)
    assert "known classes" in lines[0]


def test_what_cannot_be_ranked_is_refused(
    run: Run, arguments: list[Any], shapes: Path, tmp_path: Path
) -> None:
    data = shapes
    refused(run("weights", "rank", tmp_path / "none"), 3, "none")
    refused(run("weights", "rank", data, "none.pt"), 4, "none.pt")
    refused(run("weights", "rank", data, "random", "--imgsz", "100"), 2, "imgsz")
    refused(run("weights", "rank", data, "random", "--images", "1"), 2, "--images")
    refused(run("weights", "rank", data, "random", "--depths", "nek"), 2, "nek")
    refused(run("weights", "rank", data, "random", "--depths", "none"), 2, "nothing is frozen")


def test_weights_that_nobody_named_are_left_out_with_a_reason(
    run: Run, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yolo11n.pt").write_bytes(b"not the official file")
    monkeypatch.setenv("DETECT_TL_WEIGHTS", str(tmp_path))
    small = ("--imgsz", "64", "--images", "4", "--device", "cpu", "--depths", "neck")
    result = run("weights", "rank", shapes, *small)
    assert result.exit_code == 0, result.output
    assert "yolo11n is left out: " in result.stderr
    assert "not the official" in result.stderr
    assert "starter" in result.stdout
    assert "random" in result.stdout
