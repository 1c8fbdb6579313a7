from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask, RleMask, mask_area, rle_to_bitmap
from tests.formats.makers import document, image, read

TRIANGLE = [1, 1, 21, 1, 1, 31]


def shape(kind: str, **values: Any) -> dict[str, Any]:
    return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": 0, **values}


def box(**values: Any) -> dict[str, Any]:
    return shape("bbox", **{"bbox": [10, 20, 30, 40], **values})


def one(root: Path, *annotations: Any, subset: str = "train", **media: Any) -> Path:
    """One item in a subset; the image lies where the tool puts it."""
    image(root / f"images/{subset}/a.jpg")
    document(
        root / f"annotations/{subset}.json",
        {
            "dm_format_version": "1.0",
            "infos": {},
            "categories": {
                "label": {
                    "labels": [
                        {"name": "dog", "parent": ""},
                        {"name": "cat", "parent": "animal"},
                    ]
                }
            },
            "items": [
                {"id": "a", "annotations": list(annotations), "image": {"path": "a.jpg", **media}}
            ],
        },
    )
    return root


def test_boxes_and_outlines(tmp_path: Path) -> None:
    polygon = shape("polygon", points=TRIANGLE, label_id=1, z_order=2)
    result = read(one(tmp_path, box(attributes={"occluded": True}), polygon))
    first, second = result.dataset.instances()
    assert result.format == "datumaro"
    assert [(c.name, c.supercategory) for c in result.dataset.categories] == [
        ("dog", ""),
        ("cat", "animal"),
    ]
    assert (first.box, dict(first.attributes)) == (Box(10, 20, 40, 60), {"occluded": True})
    assert (second.box, dict(second.attributes)) == (Box(1, 1, 21, 31), {"z_order": 2})
    assert isinstance(second.mask, PolygonMask)
    assert second.mask.parts[0].tolist() == [[1, 1], [21, 1], [1, 31]]
    assert [s.split for s in result.dataset.samples] == ["train"]


def test_masks_as_pycocotools_packs_them(tmp_path: Path) -> None:
    from pycocotools import mask as coco

    bitmap = np.zeros((80, 100), np.uint8)
    bitmap[10:30, 40:70] = 1
    bitmap[15:20, 50:60] = 0
    packed = coco.encode(np.asfortranarray(bitmap))
    rle = {"size": [80, 100], "counts": packed["counts"].decode()}
    result = read(one(tmp_path, shape("mask", rle=rle, attributes={"is_crowd": True})))
    (item,) = result.dataset.instances()
    assert isinstance(item.mask, RleMask)
    assert (rle_to_bitmap(item.mask) == bitmap).all()
    assert (item.box, item.iscrowd, dict(item.attributes)) == (Box(40, 10, 70, 30), True, {})


def test_turned_boxes_are_outlines(tmp_path: Path) -> None:
    as_cvat = box(attributes={"rotation": 90.0})
    own = shape("rotated_bbox", points=[25, 40, 30, 40, 90])
    straight = box(attributes={"rotation": 0.0})
    first, second, third = read(one(tmp_path, as_cvat, own, straight)).dataset.instances()
    assert first.box == pytest.approx((5, 25, 45, 55))
    assert second.box == pytest.approx(first.box)
    assert first.mask is not None
    assert mask_area(first.mask) == pytest.approx(30 * 40)
    assert third.mask is None
    assert dict(first.attributes) == {}


def test_an_ellipse_is_an_outline_within_its_box(tmp_path: Path) -> None:
    (item,) = read(one(tmp_path, shape("ellipse", points=[10, 20, 50, 40]))).dataset.instances()
    assert item.box == pytest.approx((10, 20, 50, 40))
    assert item.mask is not None
    assert mask_area(item.mask) == pytest.approx(np.pi * 20 * 10, rel=0.01)


def test_outlines_of_a_group_are_parts_of_one_object(tmp_path: Path) -> None:
    part = shape("polygon", points=TRIANGLE, group=7)
    other = shape("polygon", points=[60, 60, 70, 60, 70, 70], group=7)
    result = read(one(tmp_path, part, other, box(group=7)))
    joined, alone = result.dataset.instances()
    assert isinstance(joined.mask, PolygonMask)
    assert len(joined.mask.parts) == 2
    assert joined.box == Box(1, 1, 70, 70)
    assert dict(joined.attributes) == dict(alone.attributes) == {"group_id": 7}


def test_what_has_no_area_is_counted(tmp_path: Path) -> None:
    others = [shape("label"), shape("label"), shape("points", points=[1, 2]), shape("caption")]
    result = read(one(tmp_path, *others, box()))
    assert result.report.lost == {"shapes-label": 2, "shapes-points": 1, "shapes-caption": 1}
    assert result.report.count("datumaro.no-area") == 3
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (box(bbox=[1, 2, 3]), "not enough values"),
        (box(bbox=[1, 2, 3, float("nan")]), "nan is not a finite number"),
        (shape("polygon", points=[1, 2, 3]), "cannot reshape"),
        (shape("polygon", points=[1, 2, 3, 4]), "has 2 points, not 3"),
        (shape("polygon"), "it has no 'points'"),
        (shape("mask", rle={"size": [80, 100], "counts": "1"}), "add up to 1, not to 100x80"),
        (shape("mask", rle={"size": [9**9, 9**9], "counts": "1"}), "larger than any image"),
        ({"label_id": 0}, "it has no 'type'"),
        ("cat", "annotation 2 of 'a' is lost"),
    ],
)
def test_a_damaged_annotation_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    result = read(one(tmp_path, box(), bad))
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert result.report.lost == {"objects-unreadable": 1}
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize("label", [2, -1, None, "cat"])
def test_a_label_that_is_not_declared(tmp_path: Path, label: Any) -> None:
    result = read(one(tmp_path, box(label_id=label), box()))
    assert result.report.count("class.unknown") == 1
    assert len(list(result.dataset.instances())) == 1


def test_the_declared_size_has_its_height_first(tmp_path: Path) -> None:
    result = read(one(tmp_path, box(), size=[160, 200]))
    (item,) = result.dataset.instances()
    assert item.box == Box(5, 10, 20, 30)
    assert result.report.changed == {"objects-scaled-to-image": 1}


def test_subsets_are_splits_and_default_is_none(tmp_path: Path) -> None:
    one(tmp_path, box(), subset="default")
    one(tmp_path, box(), subset="validation")
    image(tmp_path / "images/validation/z.jpg")
    result = read(tmp_path)
    assert [s.split for s in result.dataset.samples] == [None, "val"]
    assert result.report.lost == {"images-not-listed": 1}


@pytest.mark.parametrize(
    "categories", [{"label": [1]}, {"label": {"other": 1}}, {"label": {"labels": {}}}]
)
def test_a_file_without_labels_is_refused(tmp_path: Path, categories: Any) -> None:
    path = document(tmp_path / "annotations/a.json", {"categories": categories, "items": []})
    with pytest.raises(DataError, match="no list of labels") as caught:
        read(tmp_path)
    assert caught.value.path == path


def test_the_fixture_of_another_reader(shared: Path) -> None:
    result = read(shared / "data/tiny_datumaro_assets/assets/datumaro_dataset/legacy")
    assert result.dataset.names == ["car", "bicycle", "tom", "mary"]
    assert [s.split for s in result.dataset.samples] == ["test", "train", "train", "val"]
    assert result.report.lost == {"shapes-label": 7}
