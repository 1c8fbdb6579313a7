from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, RleMask, Size, box_ring
from detect_tl.core.masks import draw_mask
from detect_tl.formats.labelme.write import LOSSES, write
from tests.formats.makers import image, read

BOX = Box(10, 10, 30, 30)
SQUARE = PolygonMask((box_ring(BOX),))
TWO = PolygonMask((*SQUARE.parts, box_ring(Box(50, 50, 60, 60))))


def written(tmp_path: Path, *items: Instance) -> tuple[dict[str, Any], Report]:
    path = image(tmp_path / "images/val/a.jpg")
    report = Report()
    dataset = Dataset((Category("cat"),), (Sample(path, Size(100, 80), items, "val"),))
    write(dataset, tmp_path, report, "segment")
    assert set(report.lost) <= set(LOSSES)
    document: dict[str, Any] = json.loads((tmp_path / "labelme/val/a.json").read_text())
    return document, report


def test_what_the_tool_insists_on(tmp_path: Path) -> None:
    """Its loader raises unless every key of a shape has the type that it expects."""
    values = {"occluded": True, "description": "left", "group_id": 3, "size": 1.5, "no": False}
    document, report = written(
        tmp_path, Instance(0, BOX, attributes=values), Instance(0, BOX, SQUARE, True)
    )
    assert not report.lost
    assert set(document) >= {"version", "flags", "shapes", "imagePath", "imageData"}
    assert document["imageData"] is None
    assert (tmp_path / "labelme/val" / document["imagePath"]).is_file()
    assert (document["imageWidth"], document["imageHeight"]) == (100, 80)
    for shape in document["shapes"]:
        assert isinstance(shape["label"], str)
        assert isinstance(shape["description"], str)
        assert shape["group_id"] is None or isinstance(shape["group_id"], int)
        assert all(isinstance(v, bool) for v in shape["flags"].values())
        assert all(
            len(p) == 2 and all(isinstance(v, int | float) for v in p) for p in shape["points"]
        )
    box, outline = document["shapes"]
    assert (box["shape_type"], box["points"]) == ("rectangle", [[10, 10], [30, 30]])
    assert (box["flags"], box["description"], box["group_id"]) == ({"occluded": True}, "left", 3)
    assert (outline["shape_type"], len(outline["points"])) == ("polygon", 4)
    boxed, crowd = read(tmp_path, "labelme").dataset.instances()
    assert dict(boxed.attributes) == values
    assert (crowd.iscrowd, dict(crowd.attributes)) == (True, {})


def test_what_a_user_changes_in_the_tool_counts(tmp_path: Path) -> None:
    values = {"occluded": True, "description": "left", "size": 2}
    document, _ = written(tmp_path, Instance(0, BOX, attributes=values))
    (shape,) = document["shapes"]
    shape["flags"], shape["description"] = {"occluded": False, "cut": True}, "right"
    (tmp_path / "labelme/val/a.json").write_text(json.dumps(document))
    (item,) = read(tmp_path, "labelme").dataset.instances()
    assert dict(item.attributes) == {"cut": True, "description": "right", "size": 2}


def test_parts_share_a_group_that_no_other_object_has(tmp_path: Path) -> None:
    mine: dict[str, Any] = {"group_id": 1}
    items = [
        Instance(0, BOX, SQUARE, attributes=mine),  # two objects of one group stay two
        Instance(0, BOX, SQUARE, attributes=mine),
        Instance(0, Box(10, 10, 60, 60), TWO),
        Instance(0, Box(10, 10, 60, 60), TWO, attributes={"group_id": 7}),
    ]
    document, report = written(tmp_path, *items)
    assert [s["group_id"] for s in document["shapes"]] == [None, None, 2, 2, 7, 7]
    assert not report.lost
    assert list(read(tmp_path, "labelme").dataset.instances()) == items


def test_a_hole_becomes_a_bitmap_between_corners_that_belong_to_it(tmp_path: Path) -> None:
    holed = PolygonMask(SQUARE.parts, (box_ring(Box(15, 15, 20, 20)),))
    document, report = written(tmp_path, Instance(0, BOX, holed))
    (shape,) = document["shapes"]
    assert report.lost == {"labelme-holes": 1}
    assert (shape["shape_type"], shape["points"]) == ("mask", [[10, 10], [29, 29]])
    bitmap = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
    assert bitmap.shape == (20, 20)
    assert (bitmap == draw_mask(holed, Size(100, 80))[10:30, 10:30]).all()
    (item,) = read(tmp_path, "labelme").dataset.instances()
    assert isinstance(item.mask, RleMask)
    assert item.box == BOX


@pytest.mark.parametrize(
    "mask", [PolygonMask(()), PolygonMask((np.ones((2, 2)),)), RleMask((8000,), Size(100, 80))]
)
def test_a_mask_without_area_leaves_its_box(tmp_path: Path, mask: PolygonMask | RleMask) -> None:
    document, report = written(tmp_path, Instance(0, BOX, mask))
    assert [s["shape_type"] for s in document["shapes"]] == ["rectangle"]
    assert report.lost["labelme-empty-outlines"] == 1
    (item,) = read(tmp_path, "labelme").dataset.instances()
    assert (item.box, item.mask) == (BOX, None)


def test_a_box_that_disagrees_with_its_outline_is_counted(tmp_path: Path) -> None:
    assert written(tmp_path, Instance(0, Box(0, 0, 90, 70), SQUARE))[1].lost == {"labelme-boxes": 1}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_object_without_a_finite_place_is_left_out(tmp_path: Path, number: float) -> None:
    ring = np.asarray([[1.0, 1.0], [20.0, number], [1.0, 20.0]])
    box = Box(1, 1, 20, 20)
    items = [Instance(0, Box(1, number, 3, 4)), Instance(0, box, PolygonMask((ring,)))]
    _, report = written(tmp_path, *items)
    assert report.lost == {"labelme-not-finite": 2}
    assert not list(read(tmp_path, "labelme").dataset.instances())
