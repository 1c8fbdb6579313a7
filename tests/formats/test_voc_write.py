from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, RleMask, Size, box_ring
from detect_tl.formats.voc.write import LOSSES, write
from tests.formats.makers import image, read

SQUARE = PolygonMask((box_ring(Box(10, 10, 30, 30)),))


def written(tmp_path: Path, *items: Instance, name: str = "a.jpg", label: str = "cat") -> Report:
    path = image(tmp_path / "images/train" / name)
    report = Report()
    dataset = Dataset((Category(label),), (Sample(path, Size(100, 80), items, "train"),))
    write(dataset, tmp_path, report, "detect")
    assert set(report.lost) <= set(LOSSES)
    return report


def test_what_labelimg_looks_for(tmp_path: Path) -> None:
    """LabelImg takes the file called like the image, its numbers by int(float(…)), and a flag."""
    written(tmp_path, Instance(0, Box(1, 2.5, 30, 40), attributes={"difficult": True}))
    root = ElementTree.parse(tmp_path / "voc/Annotations/a.xml").getroot()
    assert root.findtext("filename") == "a.jpg"
    assert root.findtext("path") == "../images/train/a.jpg"
    assert (tmp_path / "voc" / str(root.findtext("path"))).is_file()
    assert [root.findtext(f"size/{t}") for t in ("width", "height", "depth")] == ["100", "80", "3"]
    (found,) = root.findall("object")
    assert [found.findtext(t) for t in ("name", "difficult", "truncated")] == ["cat", "1", "0"]
    corners = [found.findtext(f"bndbox/{t}") for t in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == ["1", "2.5", "30", "40"]
    assert (tmp_path / "voc/ImageSets/Main/train.txt").read_text() == "a\n"
    assert not (tmp_path / "voc/ImageSets/Main/val.txt").exists()


def test_names_are_escaped_and_control_characters_replaced(tmp_path: Path) -> None:
    label = '<b> & "ünï" \U0001f600 \x07'
    item = Instance(0, Box(1, 2, 3, 4), attributes={"colour & <size>": "a\x00b"})
    report = written(tmp_path, item, name="<a> & 'b' ü.jpg", label=label)
    assert report.lost == {"voc-characters": 2}
    back = read(tmp_path / "voc/..", "voc").dataset
    (found,) = back.instances()
    assert back.names[found.category] == label.replace("\x07", "\ufffd")
    assert dict(found.attributes) == {"colour & <size>": "a\ufffdb"}
    assert back.samples[0].image.name == "<a> & 'b' ü.jpg"


def test_images_of_one_name_in_two_splits(tmp_path: Path) -> None:
    samples = tuple(
        Sample(image(tmp_path / f"images/{split}/a.jpg"), Size(100, 80), (), split)
        for split in ("train", "val")
    )
    write(Dataset((), samples), tmp_path, Report(), "detect")
    assert (tmp_path / "voc/ImageSets/Main/val.txt").read_text() == "val/a\n"
    found = {s.image: s.split for s in read(tmp_path, "voc").dataset.samples}
    assert found == {sample.image: sample.split for sample in samples}


def test_what_an_outline_costs(tmp_path: Path) -> None:
    other = box_ring(Box(50, 50, 60, 60))
    hole = box_ring(Box(15, 15, 20, 20))
    bitmap = RleMask((0, 80 * 10, 80 * 90), Size(100, 80))
    masks = [
        SQUARE,
        PolygonMask((*SQUARE.parts, other)),
        PolygonMask((*SQUARE.parts, box_ring(Box(20, 20, 40, 40)))),
        PolygonMask(SQUARE.parts, (hole,)),
        bitmap,
        PolygonMask((np.asarray([[1.0, 1.0], [2.0, 2.0]]),)),
        PolygonMask(()),
    ]
    box = Box(0, 0, 50, 50)
    report = written(tmp_path, *(Instance(0, box, mask) for mask in masks))
    assert report.lost == {
        "voc-joined-parts": 2,
        "voc-merged-parts": 1,
        "voc-joined-holes": 1,
        "voc-run-lengths": 1,
        "voc-empty-outlines": 2,
    }
    items = list(read(tmp_path, "voc").dataset.instances())
    assert [item.mask is None for item in items] == [False] * 5 + [True] * 2
    assert {item.box for item in items} == {box}


@pytest.mark.parametrize("value", [3, 1.5, False, None, [1, "two"], " spaced "])
def test_an_attribute_that_is_no_text_is_counted(tmp_path: Path, value: object) -> None:
    item = Instance(0, Box(1, 2, 3, 4), attributes={"a": value})  # type: ignore[dict-item]
    assert written(tmp_path, item).lost == {"voc-attribute-types": 1}
    (found,) = read(tmp_path, "voc").dataset.instances()
    assert isinstance(found.attributes["a"], str)


def test_a_class_of_any_name_keeps_its_place(tmp_path: Path) -> None:
    names = ["#hash", "a:b", "# label:color_rgb:parts:actions", "background", "1,2,3"]
    path = image(tmp_path / "images/train/a.jpg")
    dataset = Dataset(tuple(map(Category, names)), (Sample(path, Size(100, 80), (), "train"),))
    write(dataset, tmp_path, Report(), "detect")
    assert read(tmp_path, "voc").dataset.names == names


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_object_without_a_finite_place_is_left_out(tmp_path: Path, number: float) -> None:
    ring = np.asarray([[1.0, 1.0], [20.0, number], [1.0, 20.0]])
    box = Box(1, 1, 20, 20)
    items = [Instance(0, Box(1, number, 3, 4)), Instance(0, box, PolygonMask((ring,)))]
    report = written(tmp_path, *items)
    assert report.lost == {"voc-not-finite": 2}
    assert not list(read(tmp_path, "voc").dataset.instances())
