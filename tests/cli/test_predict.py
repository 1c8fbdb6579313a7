"""`detect-tl predict`: thresholds by class, lines and zones, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.conftest import Run, refused
from tests.runtime.colour_model import colour_model
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, write_video


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_model(tmp_path_factory.mktemp("models") / "colours.onnx", box=24)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A red and a green cell, both with a score of 0.5."""
    pixels = picture(64, 64, (8, 8, 16, 16, "red"), (40, 40, 48, 48, "green")) // 2
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", np.asarray(pixels, np.uint8))[1].tobytes())
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "v.mp4", moving_square(8))


@pytest.mark.parametrize(
    ("conf", "found"),
    [
        ("0.4", {"red": 1, "green": 1}),
        ("red=0.4,green=0.6", {"red": 1}),
        ("red=0.6", {"green": 1}),  # the usual 0.25 for the others
    ],
)
def test_thresholds(
    *, run: Run, model: Path, image: Path, tmp_path: Path, conf: str, found: dict[str, int]
) -> None:
    done = run("predict", model, image, "--conf", conf, "--out", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["objects"] == found


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        ("red=", "'red=' is not of the form person=0.5"),
        ("red=0.4,0.5", "'0.5' is not of the form person=0.5"),
        ("red=0.4,red=0.5", "'red' is given twice"),
        ("red=2", "2 does not lie between 0 and 1"),
        ("red", "neither a number, nor auto, nor of the form person=0.5"),
        ("rad=0.5", "no class 'rad'"),
    ],
)
def test_thresholds_that_are_none(
    *, run: Run, model: Path, image: Path, tmp_path: Path, conf: str, told: str
) -> None:
    done = run("predict", model, image, "--conf", conf, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


def test_lines_and_zones(run: Run, model: Path, video: Path, tmp_path: Path) -> None:
    options = [
        "--track", "--line", "door:36,0,36,64", "--line", "a:b:0,0.9,1,0.9", "--zone",
        "left half:0,0,0.5,0,0.5,1,0,1", "--conf", "0.8",
    ]  # fmt: skip
    done = run("predict", model, video, *options, "--out", tmp_path / "out", "--json")
    result = json.loads(done.stdout)
    assert result["tracks"] == 1
    counts = result["counts"]
    assert counts["lines"]["door"]["in"] == 1
    assert counts["lines"]["a:b"] == {"in": 0, "out": 0, "classes": {}}
    # 4 frames left of the middle and one on it, of 8
    assert counts["zones"]["left half"] == {
        "mean": 0.5, "max": 1, "distinct": 1,
        "classes": {"red": {"mean": 0.5, "max": 1, "distinct": 1}},
    }  # fmt: skip
    words = run("predict", model, video, *options, "--out", tmp_path / "again").stdout
    assert "1 object followed" in words
    for head in ("door", "left half"):
        assert head in words
    assert "counts.csv" in words


def test_they_may_stand_in_a_file(run: Run, model: Path, video: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("track: true\nline: ['door:36,0,36,64']\nconf: {red: 0.8}\nsave: [csv]\n")
    out = tmp_path / "out"
    done = run("predict", model, video, "--config", settings, "--out", out, "--json")
    result = json.loads(done.stdout)
    assert result["counts"]["lines"]["door"]["in"] == 1
    assert {path.name for path in out.iterdir()} == {"detections.csv", "counts.csv"}


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--line", "0,0,1,1", "is not of the form NAME:x1,y1,x2,y2"),
        ("--line", "door:0,0,x,1", "'0,0,x,1' is not made of numbers"),
        ("--line", "door:0,0,1", "not made of pairs of numbers"),
        ("--zone", "z:0,0,1,1", "fewer than three corners"),
        ("--zone", "z:0,0,90,1,90,90", "leaves the picture, which is 64x64"),
    ],
)
def test_regions_that_are_none(
    *, run: Run, model: Path, video: Path, tmp_path: Path, option: str, value: str, told: str
) -> None:
    done = run("predict", model, video, "--track", option, value, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_name_is_given_twice(run: Run, model: Path, video: Path) -> None:
    line = ["--line", "door:0,0,1,1"]
    done = run("predict", model, video, "--track", *line, *line)
    assert done.exit_code == 2
    assert "'door' is given twice" in done.stderr


def test_images_have_no_tracks(run: Run, model: Path, image: Path, tmp_path: Path) -> None:
    done = run("predict", model, image, "--track", "--out", tmp_path / "out")
    refused(done, 2, "separate images have no objects to follow", "--track is for videos")


def test_a_sink_that_is_none(run: Run, model: Path, image: Path, tmp_path: Path) -> None:
    done = run("predict", model, image, "--save", "jsnol", "--out", tmp_path / "out")
    refused(done, 2, "unknown sink 'jsnol'", "Did you mean 'jsonl'?")


def test_names_instead_of_classes(run: Run, model: Path, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--zero-shot", "Red,green", "--conf", "Red=0.4,green=0.6", "--out", out]
    done = run("predict", model, image, *options, "--json")
    result = json.loads(done.stdout)
    assert result["objects"] == {"Red": 1}
    assert result["findings"][0]["message"] == "Red: red, a class of colours.onnx"


def test_the_model_may_be_left_out_with_names_alone(
    run: Run, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(run("predict", image), 2, "missing argument 'SOURCE'")
    monkeypatch.chdir(image.parent)
    done = run("predict", image, "--zero-shot", "sedan")
    refused(done, 4, "yolo11n.pt is not on this machine")


def test_a_name_that_nothing_covers(
    run: Run, model: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("predict", model, image, "--zero-shot", "forklift", "--out", tmp_path / "out")
    refused(done, 4, "to find forklift", "yoloe-11s-seg.pt", "mobileclip_blt.ts", "Download https:")
    assert not (tmp_path / "out").exists()
