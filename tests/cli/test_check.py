"""`detect-tl check`, as somebody sees it who has never used it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detect_tl.curate.checks import CHECKS
from tests.cli.conftest import Run, picture, refused, voc_folder


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Ten pictures: four objects leave their image, one lies outside, one class is misspelt."""
    folder = voc_folder(tmp_path / "messy")
    for index in range(5):
        path = folder / f"v{index}.xml"
        left = 70 if index == 4 else 5
        path.write_text(
            path.read_text().replace("<xmin>5<", f"<xmin>{left}<").replace(">40<", ">90<")
        )
    path = folder / "v9.xml"
    path.write_text(path.read_text().replace("<name>cat<", "<name>cats<"))
    return folder


def row(folder: Path, label: str) -> None:
    """A picture, and a row of YOLO for it."""
    picture(folder / "images/a.jpg")
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text(label)


def test_a_page_shows_what_was_found(run: Run, messy: Path, tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    done = run("check", messy, "--report", page, "-q")
    assert done.exit_code == 1
    assert f"report: {page}" in done.stdout
    text = page.read_text("utf-8")
    assert "box.out-of-bounds" in text
    assert "leaves the 64x48 image by 26 pixels" in text
    assert "<b>v0.jpg</b> cat: [5, 6, 90, 30]" in text  # the caption of its picture, named once
    assert str(tmp_path) not in text
    refused(run("check", messy, "--report", tmp_path / "check.txt"), 2, "check.html")


def test_findings_are_grouped_and_the_consequence_is_told_once(run: Run, messy: Path) -> None:
    done = run("check", messy, "-q")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    start = lines.index(
        "warning: box.out-of-bounds (4 times). "
        "Far out, Ultralytics drops the whole image. Conversion cuts the box at the border."
    )
    assert lines[start + 1] == (
        "    v0.xml: cat in v0.jpg: [5, 6, 90, 30] leaves the 64x48 image by 26 pixels"
    )
    assert lines[start + 4] == "    … and 1 more"
    assert any(line.startswith("error: box.outside. ") for line in lines[:start])
    assert "'cat' (9 objects), 'cats' (1 object)" in done.stdout
    assert lines[-1].startswith("10 images, 10 objects: 1 error, ")


def test_what_one_format_notices_is_told_by_its_message_alone(run: Run, tmp_path: Path) -> None:
    row(tmp_path, "0 0.5 0.5 0.2 0.2")
    lines = run("check", tmp_path, "-q").stdout.splitlines()
    start = lines.index("warning: yolo.no-names")
    assert "classes are called class_0" in lines[start + 1]


def test_choosing_checks_and_how_strict_to_be(run: Run, messy: Path) -> None:
    assert run("check", messy, "--skip", "box.outside").exit_code == 0
    assert run("check", messy, "--skip", "box.outside", "--strict").exit_code == 1
    assert run("check", messy, "--only", "class.unused,image.", "--strict").exit_code == 0
    only = run("check", messy, "--only", "box", "--skip", "box.outside", "--fast", "--json")
    assert only.exit_code == 0
    assert list(json.loads(only.stdout)["report"]["findings_by_code"]) == ["box.out-of-bounds"]


def test_json_has_every_finding_with_its_place(run: Run, messy: Path) -> None:
    done = run("check", messy, "--only", "box.out-of-bounds", "--json", "--strict")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["errors"], told["warnings"], told["strict"], told["failed"]) == (0, 4, True, True)
    assert set(told["consequences"]) == {"box.out-of-bounds"}
    findings = told["report"]["findings"]
    assert len(findings) == 4
    assert findings[0]["image"] == str(messy / "v0.jpg")
    assert findings[0]["box"] == [5, 6, 90, 30]


def test_what_reading_notices_can_be_left_out_too(run: Run, messy: Path) -> None:
    (messy / "v5.jpg").unlink()
    assert "image.missing" in run("check", messy).stdout
    quiet = run("check", messy, "--skip", "image.missing,box,voc.bad-object")
    assert quiet.exit_code == 0
    assert "image.missing" not in quiet.stdout


def test_imgsz_decides_what_is_tiny(run: Run, pictures: Path) -> None:
    assert "box.tiny" not in run("check", pictures).stdout
    thin = voc_folder(pictures.parent / "thin")
    for path in thin.glob("*.xml"):
        path.write_text(path.read_text().replace("<xmax>40<", "<xmax>6<"))
    assert "10 of 10 objects of cat are thinner than 8 pixels at 64" in (
        run("check", thin, "--imgsz", "64").stdout
    )
    assert "box.tiny" not in run("check", thin, "--imgsz", "640").stdout


def test_the_list_and_an_explanation(run: Run) -> None:
    listed = run("check", "--list").stdout
    assert all(each.id in listed and each.consequence in listed for each in CHECKS)
    told = json.loads(run("check", "--list", "--json").stdout)["checks"]
    assert [each["id"] for each in told] == [each.id for each in CHECKS]
    explained = run("check", "--explain", "box.tiny").stdout
    assert explained.startswith("box.tiny (warning)\nWhat: ")
    assert "Threshold tiny: 8 px at imgsz; " in explained
    assert "while annotations are read" in run("check", "--explain", "split.overlap").stdout
    area = run("check", "--explain", "mask").stdout
    assert [each.id for each in CHECKS if f"{each.id} (" in area] == [
        each.id for each in CHECKS if each.id.startswith("mask.")
    ]
    refused(run("check", "--explain", "yolo.bad-row"), 2, "the reader of one format")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--only", "box.tin"], "box.tiny"),
        (["--skip", "imge"], "image"),
        (["--explain", "box.tin"], "box.tiny"),
    ],
)
def test_unknown_checks(run: Run, pictures: Path, arguments: list[str], hint: str) -> None:
    refused(run("check", pictures, *arguments), 2, "there is no check", f"'{hint}'")


def test_no_data(run: Run) -> None:
    refused(run("check"), 2, "no data was named", "--list")
