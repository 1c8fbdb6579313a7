from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask, RleMask, Size, rle_to_bitmap
from tests.formats.makers import coco, document, image, read, text


def item(image_id: Any = 1, category_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": [10, 20, 30, 40], **more}


def one(tmp_path: Path, *annotations: dict[str, Any], **more: Any) -> Path:
    image(tmp_path / "images/a.jpg")
    return coco(tmp_path / "annotations/instances.json", [(1, "a.jpg")], annotations, **more)


def test_boxes_polygons_and_attributes(tmp_path: Path) -> None:
    parts = [[0, 0, 9, 0, 9, 9], [20, 20, 29, 20, 29, 29, 20, 29]]
    one(
        tmp_path,
        item(segmentation=parts, attributes={"occluded": True}, keypoints=[1, 2, 2]),
        item(category_id=2, segmentation=[]),
    )
    first, second = read(tmp_path).dataset.instances()
    assert first.box == Box(10, 20, 40, 60)
    assert isinstance(first.mask, PolygonMask)
    assert [p.shape for p in first.mask.parts] == [(3, 2), (4, 2)]
    assert dict(first.attributes) == {"occluded": True, "keypoints": [1, 2, 2]}
    assert (second.category, second.mask) == (1, None)


@pytest.mark.parametrize("compressed", [False, True])
def test_crowds_keep_their_run_lengths(tmp_path: Path, *, compressed: bool) -> None:
    bitmap = np.zeros((80, 100), np.uint8)
    bitmap[10:20, 30:50] = 1
    encoded = rle.encode(np.asfortranarray(bitmap))
    counts: Any = encoded["counts"].decode()
    if not compressed:
        flat = bitmap.T.reshape(-1)
        counts = np.diff(np.flatnonzero(np.diff(np.r_[2, flat, 2]))).tolist()
    record = item(iscrowd=1, segmentation={"size": [80, 100], "counts": counts})
    del record["bbox"]
    one(tmp_path, record)
    (found,) = read(tmp_path).dataset.instances()
    assert found.iscrowd
    assert isinstance(found.mask, RleMask)
    assert (rle_to_bitmap(found.mask) == bitmap).all()
    assert found.box == Box(30, 10, 50, 20)


@pytest.mark.parametrize("ids", [(0, 1), (1, 2), (18, 3), (90, 7)])
def test_category_ids_are_mapped_by_the_order_of_declaration(
    tmp_path: Path, ids: tuple[int, int]
) -> None:
    one(
        tmp_path,
        item(category_id=ids[1]),
        item(category_id=ids[0]),
        categories=[(ids[0], "cat"), (ids[1], "dog")],
    )
    dataset = read(tmp_path).dataset
    assert dataset.names == ["cat", "dog"]
    assert [i.category for i in dataset.instances()] == [1, 0]


def test_files_that_order_their_categories_differently_agree_by_name(tmp_path: Path) -> None:
    for split, order in (("train", ["cat", "dog"]), ("val", ["dog", "cat"])):
        image(tmp_path / split / f"{split}.jpg")
        names = list(enumerate(order, start=1))
        cat = order.index("cat") + 1
        path = tmp_path / f"annotations/instances_{split}2017.json"
        coco(path, [(1, f"{split}.jpg")], [item(category_id=cat)], categories=names)
    dataset = read(tmp_path).dataset
    assert dataset.objects_per_class() == {"cat": 2, "dog": 0}
    assert [s.split for s in dataset.samples] == ["train", "val"]


def test_roboflow_folders_and_their_placeholder_category(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        image(tmp_path / split / "a.jpg")
        document(
            tmp_path / split / "_annotations.coco.json",
            {
                "images": [{"id": 0, "file_name": "a.jpg", "width": 100, "height": 80}],
                "annotations": [item(image_id=0, category_id=1, id=0)],
                "categories": [
                    {"id": 0, "name": "cells", "supercategory": "none"},
                    {"id": 1, "name": "rbc", "supercategory": "cells"},
                ],
            },
        )
    result = read(tmp_path)
    assert result.dataset.names == ["rbc"]
    assert [s.split for s in result.dataset.samples] == ["test", "train", "val"]
    # three images of one name: each file means the one in its own folder
    assert {s.image.parent.name for s in result.dataset.samples} == {"train", "valid", "test"}
    assert result.report.lost["placeholder-categories"] == 1


def test_a_category_of_id_0_that_is_used_stays(tmp_path: Path) -> None:
    one(tmp_path, item(category_id=0), categories=[(0, "cat"), (1, "dog")])
    assert read(tmp_path).dataset.objects_per_class() == {"cat": 1, "dog": 0}


def test_images_without_annotations_are_kept_and_unlisted_ones_are_not(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    image(tmp_path / "empty.jpg")
    image(tmp_path / "unlabelled.jpg")
    coco(tmp_path / "all.json", [(1, "a.jpg"), (2, "empty.jpg")], [item()])
    result = read(tmp_path)
    assert [len(s.instances) for s in result.dataset.samples] == [1, 0]
    assert result.report.read["images-without-objects"] == 1
    assert result.report.lost["images-not-listed"] == 1


def test_the_same_annotations_twice_are_merged(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    for name in ("instances_train.json", "instances_val.json"):
        coco(tmp_path / name, [(1, "a.jpg")], [item()])
    result = read(tmp_path)
    assert len(list(result.dataset.instances())) == 1
    assert result.report.changed["repeated-annotations-merged"] == 1
    assert result.report.count("split.overlap") == 1


def test_two_files_about_one_image_both_count(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    coco(tmp_path / "cats.json", [(1, "a.jpg")], [item()])
    coco(tmp_path / "dogs.json", [(1, "a.jpg")], [item(), item(category_id=2)])
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 1, "dog": 1}
    assert result.report.changed["images-described-twice"] == 1


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (item(category_id=9), "category_id 9 is not declared"),
        (item(bbox=[1, 2, 3]), "3 numbers"),
        (item(bbox=[1, 2, "x", 4]), "could not convert"),
        (item(bbox=None), "neither bbox nor segmentation"),
        (item(segmentation=[[1, 2, 3]]), "not a list of finite x, y"),
        (item(segmentation={"size": [2, 2], "counts": [1]}), "add up to 1, not to 2x2"),
        (item(segmentation={"size": [2, 2], "counts": "~~"}), "damaged run lengths"),
        ({"image_id": 1, "bbox": [1, 2, 3, 4]}, "it has no 'category_id'"),
    ],
)
def test_a_damaged_annotation_is_named(tmp_path: Path, record: dict[str, Any], words: str) -> None:
    one(tmp_path, item(), record)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert "annotation 2 is lost" in finding.message
    assert words in finding.message
    assert finding.code == ("class.unknown" if "declared" in words else "coco.bad-object")
    assert result.report.lost["objects-unreadable"] == 1
    assert len(list(result.dataset.instances())) == 1


def test_references_to_nothing_are_counted(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    images = [(1, "a.jpg"), (2, "gone.jpg"), (1, "again.jpg")]
    coco(tmp_path / "a.json", images, [item(), item(2), item(2), item(77)])
    result = read(tmp_path)
    codes = [f.code for f in result.report.of("error")]
    assert codes == ["coco.duplicate-id", "image.missing", "coco.unknown-image"]
    assert result.report.lost == {"images": 2, "objects-without-image": 3}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": [], "categories": [', "broken JSON"),
        ('{"images": [], "categories": {}, "annotations": []}', '"categories" is no list'),
        ('{"images": [], "categories": [{"id": 1}], "annotations": []}', "category 1 is damaged"),
        (
            '{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "id 1 is used twice",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str, words: str) -> None:
    image(tmp_path / "a.jpg")
    path = text(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    assert caught.value.path == path


def test_file_names_with_folders_and_backslashes(tmp_path: Path) -> None:
    image(tmp_path / "pictures/one/a.jpg")
    image(tmp_path / "pictures/two/a.jpg", (60, 40))
    names = [(1, "two\\a.jpg"), (2, "/home/me/pictures/one/a.jpg")]
    coco(tmp_path / "a.json", names, [item(1)])
    first, second = read(tmp_path).dataset.samples
    assert first.image == tmp_path / "pictures/two/a.jpg"
    assert first.size == Size(60, 40)
    assert second.image == tmp_path / "pictures/one/a.jpg"


def test_a_name_that_climbs_out_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    image(tmp_path / "secret.jpg")
    image(tmp_path / "data/a.jpg")
    names = [(1, "a.jpg"), (2, "../secret.jpg"), (3, str(tmp_path / "secret.jpg"))]
    coco(tmp_path / "data/a.json", names, [])
    result = read(tmp_path / "data")
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg"]
    assert result.report.count("image.missing") == 2


def test_a_single_file_can_be_named(tmp_path: Path) -> None:
    path = one(tmp_path, item())
    coco(tmp_path / "annotations/other.json", [(1, "a.jpg")], [item(), item()])
    result = read(path)
    assert len(list(result.dataset.instances())) == 1
    assert result.files == (path,)


def test_other_tasks_of_coco_are_left_alone(tmp_path: Path) -> None:
    image(tmp_path / "train2017/a.jpg")
    folder = tmp_path / "annotations"
    coco(folder / "instances_train2017.json", [(1, "a.jpg")], [item()])
    coco(folder / "person_keypoints_train2017.json", [(1, "a.jpg")], [item(keypoints=[1])])
    text(folder / "captions_train2017.json", '{"images": [], "annotations": [{"caption": "x"}]}')
    result = read(tmp_path)
    assert [p.name for p in result.files] == ["instances_train2017.json"]


def test_a_large_file_reads_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{k}.jpg" for k in range(6)]
    for name in names:
        image(tmp_path / name)
    odd = [
        item(2, bbox="no box"),
        item(9),
        item(3, category_id=7),
        item(4, attributes={"a": "},{"}),
    ]
    items = [item(1 + k % 5, segmentation=[[1, 1, 9, 1, 9, 9 + k % 3]]) for k in range(90)]
    for place, strange in zip((5, 30, 31, 80), odd, strict=True):
        items.insert(place, strange)
    coco(tmp_path / "a.json", [(k + 1, name) for k, name in enumerate(names)], items)
    whole = read(tmp_path)
    monkeypatch.setattr("detect_tl.formats.coco.records._STRETCH_BYTES", 1500)
    apart = read(tmp_path)
    assert apart.dataset == whole.dataset
    assert apart.report == whole.report
    assert len(list(whole.report.of("error"))) == 3


def test_the_export_of_via_repeats_categories_and_names_images_by_text(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    coco(
        tmp_path / "a.json",
        [(0, "a.jpg")],
        [item("0"), item("0", 2)],
        categories=[(1, "cat"), (2, "dog"), (1, "cat")],
    )
    result = read(tmp_path)
    assert result.dataset.names == ["cat", "dog"]
    assert [i.category for i in result.dataset.instances()] == [0, 1]
    assert result.report.changed["repeated-categories-merged"] == 1
    assert result.report.changed["image-ids-matched-as-text"] == 2
    assert not list(result.report.of("error"))


def test_text_and_number_may_be_two_images(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    coco(tmp_path / "a.json", [(1, "a.jpg"), ("1", "b.jpg")], [item(1), item("1"), item(1.5)])
    result = read(tmp_path)
    assert [len(s.instances) for s in result.dataset.samples] == [1, 1]
    assert result.report.lost["objects-without-image"] == 1


def test_lvis_names_images_by_address_and_says_where_objects_are_missing(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        image(tmp_path / split / f"{split}.jpg")
    address = "http://images.example.org/train2017/train2017.jpg"
    record = {
        "id": 7,
        "coco_url": address,
        "width": 100,
        "height": 80,
        "neg_category_ids": [2],
        "not_exhaustive_category_ids": [1],
    }
    categories = [{"id": 1, "name": "cat", "frequency": "c", "synonyms": ["kitty"]}]
    annotations = [item(7, segmentation=[[10, 20, 40, 20, 40, 60]])]
    path = tmp_path / "lvis_v1_val.json"
    text(
        path, json.dumps({"images": [record], "annotations": annotations, "categories": categories})
    )
    result = read(tmp_path)
    (sample,) = result.dataset.samples
    assert (sample.image.name, sample.split, len(sample.instances)) == ("train2017.jpg", "val", 1)
    assert sample.not_exhaustive == (0,)
    assert [f.code for f in result.report.of("info")].count("annotation.not-exhaustive") == 1


def test_an_image_whose_objects_are_all_damaged_is_no_background(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        image(tmp_path / name)
    images = [(1, "a.jpg"), (2, "b.jpg"), (3, "c.jpg")]
    coco(tmp_path / "a.json", images, [item(1), item(1, bbox=[1]), item(2, bbox=[1])])
    result = read(tmp_path)
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg", "c.jpg"]
    assert result.report.lost == {"images": 1, "objects-unreadable": 2}
    assert "image.unlisted" not in {f.code for f in result.report.findings}
