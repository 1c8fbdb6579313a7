"""`detect-tl formats`: what can be read and written, and at what price."""

from __future__ import annotations

import json
from pathlib import Path

from detect_tl.formats.base import load_formats
from tests.cli.conftest import Run, refused
from tests.conftest import ROOT


def test_every_format_is_listed_with_what_writing_it_loses(run: Run) -> None:
    result = run("formats")
    assert result.exit_code == 0
    for item in load_formats():
        assert item.title in result.stdout
        assert item.description in result.stdout
        for loss in item.losses.values():
            assert f"  - {loss}" in result.stdout


def test_the_same_as_json(run: Run) -> None:
    listed = {item["name"]: item for item in json.loads(run("formats", "--json").stdout)["formats"]}
    assert set(listed) == {item.name for item in load_formats()}
    assert listed["csv"]["options"] == ["columns"]
    assert listed["yolo"]["writes"]
    assert listed["yolo"]["losses"]
    assert not listed["kitti"]["writes"]


def test_one_by_name(run: Run) -> None:
    shown = run("formats", "voc").stdout
    assert "Pascal VOC" in shown
    assert "YOLO" not in shown
    wrong = run("formats", "vocc")
    assert wrong.exit_code == 2
    assert "'voc'" in wrong.stderr


def test_which_of_them_a_folder_is_in(run: Run, pictures: Path) -> None:
    """In full on demand; a command that reads says only what it takes the folder for."""
    why = "Pascal VOC: 10 .xml files with an <annotation> root"
    told = run("formats", "--of", pictures)
    assert told.exit_code == 0
    assert told.stdout.startswith(f"{why};\nnot ")
    assert all(f.title in told.stdout for f in load_formats())
    document = json.loads(run("formats", "--of", pictures, "--json").stdout)
    assert document["format"] == "voc"
    assert document["explanation"] == told.stdout.rstrip()
    short = run("convert", pictures, pictures.parent / "out", "-q").stdout
    assert short.startswith(f"{why}\n")
    assert "not COCO" not in short
    assert run("check", pictures, "-q").stdout.startswith(f"{pictures}: {why}\n")
    made = run("formats", "--of", pictures.parent / "out")
    assert made.stdout.startswith("detect-tl dataset folder: ")


def test_what_is_in_no_format_has_no_name(run: Run, tmp_path: Path) -> None:
    refused(run("formats", "--of", tmp_path), 3, "no annotations found")
    refused(run("formats", "voc", "--of", tmp_path), 2, "beside --of")


def test_the_readme_names_every_format() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [item.title for item in load_formats() if item.title not in readme] == []
