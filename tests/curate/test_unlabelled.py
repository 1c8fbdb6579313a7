from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.progress import Silent
from detect_tl.curate.unlabelled import KNOWN, unlabelled
from tests.formats.makers import image, text


def left(images: list[Path], labelled: list[Path], report: Report) -> list[str]:
    return [s.image.name for s in unlabelled(images, labelled, report, Silent())]


def test_what_has_labels_is_left_out_under_any_name(tmp_path: Path) -> None:
    images = [image(tmp_path / f"new/{name}.png") for name in "abc"]
    copy = tmp_path / "done/other.png"
    copy.parent.mkdir()
    shutil.copyfile(images[1], copy)
    report = Report()
    assert left(images, [copy, image(tmp_path / "done/z.png")], report) == ["a.png", "c.png"]
    assert report.changed == {KNOWN: 1}
    assert not report.lost


def test_two_images_of_the_same_content_are_both_new(tmp_path: Path) -> None:
    images = [image(tmp_path / "a.png"), tmp_path / "b.png"]
    shutil.copyfile(*images)
    assert left(images, [], Report()) == ["a.png", "b.png"]


def test_sizes_are_those_that_a_person_sees(tmp_path: Path) -> None:
    turned = image(tmp_path / "a.jpg", (100, 80), orientation=6)
    (sample,) = unlabelled([turned], [], Report(), Silent())
    assert sample.size == (80, 100)


def test_what_is_no_image_is_named_and_left_out(tmp_path: Path) -> None:
    whole, cut = image(tmp_path / "a.jpg"), image(tmp_path / "b.jpg")
    cut.write_bytes(cut.read_bytes()[:-30])
    broken = text(tmp_path / "c.jpg", "no image")
    report = Report()
    assert left([whole, cut, broken], [], report) == ["a.jpg"]
    assert report.lost == {"images": 2}
    told = {f.path: f.code for f in report.findings}
    assert told == {cut: "image.truncated", broken: "image.unreadable"}


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    known, broken = image(tmp_path / "a.png"), text(tmp_path / "b.png", "")
    with pytest.raises(DataError, match=r"of 2, 1 are labelled already, and 1 cannot be used"):
        unlabelled([known, broken], [known], Report(), Silent())
