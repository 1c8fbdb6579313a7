"""`detect-tl label`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from tests.cli.conftest import Run, refused
from tests.runtime.conftest import detect_model, picture  # noqa: F401  # fixture


@pytest.fixture
def model(detect_model: Path) -> Path:  # noqa: F811
    return detect_model


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), picture(64, 64, (8, 8, 16, 16, "red")))
    cv2.imwrite(str(folder / "b.png"), picture(64, 64, (48, 16, 52, 24, "blue")))
    cv2.imwrite(str(folder / "c.png"), picture(64, 64))
    return folder


def test_it_says_what_was_found_and_how_to_open_it(
    run: Run, model: Path, shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "labels"
    result = run("label", model, "shots", "--to", "labelme,cvat")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert [line.split() for line in lines[2:4]] == [["red", "1"], ["blue", "1"]]
    assert lines[4:7] == [
        f"3 images and 2 objects labelled by {model} (onnxruntime); nothing found on 1",
        "written: labels",
        (
            f"to correct in LabelMe: labelme {out}/images/train --output {out}/labelme/train"
            f" --labels {out}/labelme/labels.txt --nodata"
        ),
    ]
    assert lines[7].startswith("to correct in CVAT: ")
    assert Path("labels/labelme/train/c.json").is_file()  # an image without objects, too
    again = run("label", model, "shots", "--limit", "1")
    assert "written: labels-2" in again.stdout


def test_a_ranking_is_named(run: Run, model: Path, shots: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("label", model, shots, "--rank", "--limit", 1, "--out", out)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"3 images ranked: {out / 'ranking.csv'}" in result.stdout
    assert "colours and edges" in result.stdout
    assert [path.name for path in (out / "images/train").iterdir()] == ["b.png"]
    rest = run("label", model, shots, "--labelled", out, "--out", tmp_path / "rest", "--json")
    said = json.loads(rest.stdout)
    assert (said["images"], said["images_ranked"], said["ranking"]) == (2, None, None)
    assert said["objects_per_class"] == {"red": 1, "green": 0, "blue": 0}
    assert said["report"]["changed"] == {"images-labelled-already": 1}


def test_wrong_usage_is_refused(run: Run, model: Path, shots: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    refused(run("label", model, shots, "--to", "kitti", *out), 2, "can be read, but not written")
    refused(run("label", model, shots, "--conf", "auto", *out), 2, "keeps no thresholds")
    refused(run("label", model, shots, "--limit", "0", *out), 2, "--limit")
    refused(run("label", model, tmp_path / "none", *out), 3, "no such file")
    refused(run("label", tmp_path / "none.onnx", shots, *out), 4, "no such model")
    assert not (tmp_path / "out").exists()
