from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    RleMask,
    Size,
    bitmap_to_rle,
    box_ring,
    rle_to_bitmap,
)
from detect_tl.core.masks import draw_mask
from detect_tl.formats.cvat.format import FORMAT, LOSSES, write
from tests.formats.makers import image, read

SIZE = Size(100, 80)
BOX = Box(10, 10, 30, 30)
FAR = Box(50, 50, 60.5, 60)
SQUARE = PolygonMask((box_ring(BOX),))
TWO = PolygonMask((box_ring(BOX), box_ring(FAR)))
RING = PolygonMask(SQUARE.parts, (box_ring(Box(15, 15, 25, 25)),))
AROUND_TWO = Box(10, 10, 60.5, 60)


def written(
    tmp_path: Path, *items: Instance, name: str = "a.jpg", categories: tuple[str, ...] = ("cat",)
) -> tuple[Element, Report]:
    """The file of a data set with one image, and the report."""
    path = image(tmp_path / "images/val" / name)
    report = Report()
    known = tuple(Category(name) for name in categories)
    write(Dataset(known, (Sample(path, SIZE, items, "val"),)), tmp_path, report, "segment")
    assert set(report.lost) <= set(LOSSES)
    return ElementTree.parse(tmp_path / "cvat/val.xml").getroot(), report


def back(tmp_path: Path) -> list[Instance]:
    result = read(tmp_path, "cvat")
    assert not result.report.findings
    return list(result.dataset.instances())


def shapes(root: Element) -> list[Element]:
    picture = root.find("image")
    assert picture is not None
    return list(picture)


def test_what_cvat_insists_on(tmp_path: Path) -> None:
    """Its loader takes these without a default."""
    root, _ = written(tmp_path, Instance(0, BOX), Instance(0, AROUND_TWO, TWO))
    assert (root.tag, root.findtext("version")) == ("annotations", "1.1")
    assert [e.text for e in root.iterfind("meta/task/labels/label/name")] == ["cat"]
    picture = root.find("image")
    assert picture is not None
    size = {"width": "100", "height": "80"}
    assert picture.attrib == {"id": "0", "name": "a.jpg", "subset": "val", **size}
    assert [shape.tag for shape in picture] == ["box", "polygon", "polygon"]
    for shape in picture:
        assert {"label", "occluded", "z_order", "source"} <= set(shape.attrib)
    corners = [float(picture[0].attrib[k]) for k in ("xtl", "ytl", "xbr", "ybr")]
    assert corners == list(BOX)
    assert len(picture[1].attrib["points"].split(";")) == 4


def test_parts_are_held_together_by_a_group(tmp_path: Path) -> None:
    held = {"group_id": 3}
    items = [
        Instance(0, AROUND_TWO, TWO),
        Instance(0, AROUND_TWO, TWO, attributes={"group_id": 9}),
        Instance(0, BOX, attributes=held),
        Instance(0, BOX, SQUARE, attributes=held),
    ]
    root, report = written(tmp_path, *items)
    assert not report.lost
    groups = [shape.get("group_id") for shape in shapes(root)]
    assert groups == ["4", "4", "5", "5", "3", "3"]  # new ones beyond those in use
    assert back(tmp_path) == items


def test_outlines_of_one_group_stay_two_objects(tmp_path: Path) -> None:
    """CVAT, and our reader, would take them for parts."""
    items = [Instance(0, BOX, SQUARE, attributes={"group_id": 3})] * 2
    root, _ = written(tmp_path, *items)
    assert not any("group_id" in shape.attrib for shape in shapes(root))
    assert back(tmp_path) == items


@pytest.mark.parametrize("left", [0, 10])
def test_pixels_as_run_lengths(tmp_path: Path, left: int) -> None:
    bitmap = np.zeros((80, 100), np.uint8)
    bitmap[20:23, left : left + 3] = [[0, 1, 1], [1, 1, 0], [1, 0, 1]]
    item = Instance(0, Box(left, 20, left + 3, 23), bitmap_to_rle(bitmap))
    root, report = written(tmp_path, item)
    (mask,) = shapes(root)
    place = {k: mask.attrib[k] for k in ("rle", "left", "top", "width", "height")}
    assert place == {
        "rle": "1, 4, 1, 1, 1, 1",
        "left": str(left),
        "top": "20",
        "width": "3",
        "height": "3",
    }
    assert not report.lost
    assert back(tmp_path) == [item]


def test_holes_become_pixels(tmp_path: Path) -> None:
    root, report = written(tmp_path, Instance(0, BOX, RING))
    assert [shape.tag for shape in shapes(root)] == ["mask"]
    assert report.lost == {"cvat-holes": 1}
    (item,) = back(tmp_path)
    assert isinstance(item.mask, RleMask)
    assert (rle_to_bitmap(item.mask) == draw_mask(RING, SIZE)).all()


@pytest.mark.parametrize(
    ("item", "loss"),
    [
        (Instance(0, FAR, SQUARE), "cvat-boxes"),
        (Instance(0, FAR, bitmap_to_rle(draw_mask(SQUARE, SIZE))), "cvat-boxes"),
        (Instance(0, BOX, PolygonMask(())), "cvat-outlines"),
        (Instance(0, BOX, PolygonMask((SQUARE.parts[0][:2],))), "cvat-outlines"),
        (Instance(0, BOX, RleMask((8000,), SIZE)), "cvat-outlines"),
        (Instance(0, BOX, RleMask((7, 7), SIZE)), "cvat-outlines"),  # does not add up
        (Instance(0, BOX, SQUARE, attributes={"is_crowd": "no"}), "cvat-crowd-attributes"),
        (Instance(0, BOX, attributes={"bell": "a\x07"}), "cvat-characters"),
        (Instance(0, BOX, attributes={"list": [1, "a"]}), "cvat-attribute-types"),
        (Instance(0, BOX, attributes={"score": math.nan}), "cvat-attribute-types"),
    ],
)
def test_losses_are_counted(tmp_path: Path, item: Instance, loss: str) -> None:
    _, report = written(tmp_path, item)
    assert report.lost == {loss: 1}
    (read_back,) = back(tmp_path)
    assert read_back.box == BOX
    assert read_back.attributes.keys() == item.attributes.keys() - {"is_crowd"}


@pytest.mark.parametrize(
    "item",
    [
        Instance(0, Box(1, 2, math.inf, 4)),
        Instance(0, BOX, PolygonMask((np.asarray([[1.0, 1], [math.nan, 2], [3, 3]]),))),
    ],
)
def test_coordinates_that_are_no_numbers(tmp_path: Path, item: Instance) -> None:
    root, report = written(tmp_path, item)
    assert not shapes(root)
    assert report.lost == {"cvat-not-finite": 1}


def test_attributes_of_predictions_survive(tmp_path: Path) -> None:
    items = [
        Instance(0, BOX, attributes={"score": 0.875, "track_id": 7, "wet": True, "note": " a\r\n"}),
        Instance(0, BOX, attributes={"score": 1, "wet": False, "occluded": True, "z_order": 2}),
        Instance(0, BOX, attributes={"source": "auto", "occluded": False, "z_order": -1}),
        Instance(0, BOX, iscrowd=True),
    ]
    root, report = written(tmp_path, *items)
    assert not report.lost
    attributes = {e.findtext("name"): e for e in root.iter("attributes") for e in e}
    kinds = {name: element.findtext("input_type") for name, element in attributes.items()}
    assert kinds == {
        **dict.fromkeys(("score", "track_id", "z_order"), "number"),
        **dict.fromkeys(("wet", "occluded", "is_crowd"), "checkbox"),
        "note": "text",
    }
    assert attributes["score"].findtext("values") == "0\n1\n0.01"
    first, second = shapes(root)[:2]
    assert first.find("attribute[@name='score']").text == "0.875"  # type: ignore[union-attr]
    assert (second.get("occluded"), second.get("z_order")) == ("1", "2")
    assert back(tmp_path) == items


def test_values_of_several_types_are_text(tmp_path: Path) -> None:
    values: list[Any] = ["a", 1, True, None, 2.5]
    _, report = written(tmp_path, *(Instance(0, BOX, attributes={"x": v}) for v in values))
    assert report.lost == {"cvat-attribute-types": 4}
    texts = [item.attributes["x"] for item in back(tmp_path)]
    assert texts == ["a", "1", "true", "null", "2.5"]


def test_labels_for_the_editor_of_cvat(tmp_path: Path) -> None:
    items = Instance(1, BOX, attributes={"score": 0.5}), Instance(1, BOX, attributes={"note": "a"})
    written(tmp_path, *items, categories=("cat", "dog"))
    cat, dog = json.loads((tmp_path / "cvat/labels.json").read_text())
    assert cat == {"name": "cat", "attributes": []}
    assert dog["name"] == "dog"
    note, score = dog["attributes"]
    assert note == {
        "name": "note",
        "input_type": "text",
        "mutable": False,
        "values": [""],
        "default_value": "",
    }
    assert (score["input_type"], score["values"]) == ("number", ["0", "1", "0.01"])


def test_names_that_xml_must_escape(tmp_path: Path) -> None:
    name, label = "<a> & \"b\" 'c'.jpg", '"cat" & <dog>'
    item = Instance(0, BOX, attributes={"<&>": 'a "b" <c> & \t'})
    written(tmp_path, item, name=name, categories=(label,))
    assert back(tmp_path) == [item]
    dataset = read(tmp_path, "cvat").dataset
    assert dataset.names == [label]
    assert dataset.samples[0].image.name == name


def test_supercategories_are_counted(tmp_path: Path) -> None:
    report = Report()
    write(Dataset((Category("cat", "animal"), Category("hat")), ()), tmp_path, report, "detect")
    assert report.lost == {"cvat-supercategories": 1}


def test_the_same_data_set_gives_the_same_bytes(tmp_path: Path) -> None:
    items = [Instance(0, BOX, attributes={"b": 1, "a": 2}), Instance(0, AROUND_TWO, TWO)]
    written(tmp_path / "one", *items)
    written(tmp_path / "two", *items)
    for name in ("val.xml", "labels.json"):
        one, two = (tmp_path / folder / "cvat" / name for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_every_loss_says_what_happens() -> None:
    assert FORMAT.losses == LOSSES
    assert all(name.startswith("cvat-") and words for name, words in LOSSES.items())
