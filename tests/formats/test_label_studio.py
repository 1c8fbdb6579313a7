from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detect_tl.core.dataset import Dataset, Instance
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.geometry import Box, PolygonMask, RleMask, box_iou, mask_area, rle_to_bitmap
from detect_tl.formats.detect import ReadResult
from detect_tl.formats.label_studio.rle import encode_brush
from tests.formats.makers import document, image, read, text

BOX = {"x": 10, "y": 20, "width": 30, "height": 40}


def part(kind: str, value: Mapping[str, Any], label: str | None = "cat", **more: Any) -> Any:
    labels = {} if label is None else {kind: [label]}
    return {
        "type": kind,
        "from_name": "tag",
        "to_name": "image",
        "original_width": 100,
        "original_height": 80,
        "value": {**value, **labels},
        **more,
    }


def task(name: str, *annotations: Any, **more: Any) -> Any:
    return {"data": {"image": name}, "annotations": list(annotations), **more}


def annotation(*result: Any, **more: Any) -> Any:
    return {"result": list(result), "was_cancelled": False, **more}


def project(folder: Path, *tasks: Any) -> ReadResult:
    image(folder / "a.jpg")
    document(folder / "project.json", list(tasks))
    return read(folder)


def one(folder: Path, *result: Any) -> Instance:
    (item,) = project(folder, task("a.jpg", annotation(*result))).dataset.instances()
    return item


def test_rectangles_are_per_cent_of_the_image(tmp_path: Path) -> None:
    item = one(tmp_path, part("rectanglelabels", BOX))
    assert item.box == Box(10, 16, 40, 48)
    assert item.mask is None


def test_a_rectangle_drawn_from_the_bottom_up(tmp_path: Path) -> None:
    up = {"x": 40, "y": 60, "width": -30, "height": -40}
    assert one(tmp_path, part("rectanglelabels", up)).box == Box(10, 16, 40, 48)


@pytest.mark.parametrize("degrees", [30, 90, 328.25, -45])
def test_a_rectangle_is_turned_about_its_top_left(tmp_path: Path, degrees: float) -> None:
    item = one(tmp_path, part("rectanglelabels", {**BOX, "rotation": degrees}))
    w, h, angle = 30.0, 32.0, math.radians(degrees)
    along = np.asarray([math.cos(angle), math.sin(angle)])
    across = np.asarray([-math.sin(angle), math.cos(angle)])
    corner = np.asarray([10.0, 16.0])
    wanted = [corner, corner + w * along, corner + w * along + h * across, corner + h * across]
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0] == pytest.approx(np.asarray(wanted))


def test_polygons(tmp_path: Path) -> None:
    item = one(tmp_path, part("polygonlabels", {"points": [[10, 10], [50, 10], [10, 50]]}))
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0].tolist() == [[10, 8], [50, 8], [10, 40]]
    assert item.box == Box(10, 8, 50, 40)


def test_ellipses_become_polygons_of_the_same_area(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90}
    item = one(tmp_path, part("ellipselabels", value))
    assert item.mask is not None
    assert mask_area(item.mask) == pytest.approx(math.pi * 20 * 8, rel=0.01)
    assert item.box == pytest.approx((42, 20, 58, 60), abs=0.2)


def test_what_a_brush_has_painted(tmp_path: Path) -> None:
    painted = np.zeros((80, 100), np.uint8)
    painted[20:27, 10:15] = 1
    value = {"format": "rle", "rle": encode_brush(painted)}
    item = one(tmp_path, part("brushlabels", value))
    assert isinstance(item.mask, RleMask)
    assert (rle_to_bitmap(item.mask) == painted).all()
    assert item.box == Box(10, 20, 15, 27)


def test_parts_of_one_region_are_one_object(tmp_path: Path) -> None:
    """With <Rectangle> and <Labels>, shape, label and choices come as records of one id."""
    item = one(
        tmp_path,
        part("rectangle", BOX, None, id="k"),
        part("labels", {**BOX, "labels": ["dog"]}, None, id="k"),
        part("choices", {**BOX, "choices": ["wet"]}, None, id="k", from_name="state"),
        part("textarea", {**BOX, "text": ["a", "b"]}, None, id="k", from_name="words"),
    )
    assert dict(item.attributes) == {"state": "wet", "words": ["a", "b"]}
    assert item.box == Box(10, 16, 40, 48)


def test_score_and_notes_are_attributes(tmp_path: Path) -> None:
    item = one(tmp_path, part("rectanglelabels", BOX, score=0.5, meta={"text": ["a note"]}))
    assert dict(item.attributes) == {"score": 0.5, "text": ["a note"]}


def test_the_image_may_have_been_turned_on_the_screen(tmp_path: Path) -> None:
    assert one(tmp_path, part("rectanglelabels", BOX, image_rotation=90)).box.x1 == 10


def test_what_has_no_area_is_counted(tmp_path: Path) -> None:
    result = project(
        tmp_path,
        task(
            "a.jpg",
            annotation(
                part("keypointlabels", {"x": 1, "y": 1, "width": 0.2}),
                part("choices", {"choices": ["sunny"]}, None),
                {"type": "relation", "from_id": "a", "to_id": "b"},
                part("rectanglelabels", BOX),
            ),
        ),
    )
    kinds = {"regions-keypointlabels": 1, "regions-choices": 1, "regions-relation": 1}
    assert result.report.lost == kinds
    assert result.report.count("label-studio.no-area") == 3


def test_a_region_of_several_labels_is_said(tmp_path: Path) -> None:
    two = part("rectanglelabels", {**BOX, "rectanglelabels": ["dog", "cat"]}, None)
    result = project(tmp_path, task("a.jpg", annotation(two)))
    (item,) = result.dataset.instances()
    assert result.dataset.names[item.category] == "dog"
    assert item.attributes["labels"] == ["dog", "cat"]
    assert result.report.changed == {"objects-of-several-labels": 1}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (part("rectanglelabels", BOX, None), "it has no label"),
        (part("rectanglelabels", {**BOX, "x": "left"}), "'left' is not a finite number"),
        (part("rectanglelabels", {**BOX, "width": None}), "None is not a finite number"),
        (part("polygonlabels", {"points": [[1, 2], [3, 4]]}), "has 2 points"),
        (part("polygonlabels", {"points": [[1, 2], [3]]}), "list of [x, y]"),
        (part("brushlabels", {"format": "rle", "rle": [0, 0]}), "cut off"),
        (part("ellipselabels", {"x": 5, "y": 5, "radiusX": 0, "radiusY": 1}), "its radii are"),
        (part("rectanglelabels", {**BOX, "rectanglelabels": [" "]}, None), "label is empty"),
    ],
)
def test_a_damaged_region_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    result = project(tmp_path, task("a.jpg", annotation(part("rectanglelabels", BOX), bad)))
    (finding,) = result.report.of("error")
    assert "region 2 of 'a.jpg' is lost" in finding.message
    assert words in finding.message
    assert finding.path == tmp_path / "project.json"
    assert len(list(result.dataset.instances())) == 1


def by(label: str, **more: Any) -> Any:
    return annotation(part("rectanglelabels", BOX, label), **more)


@pytest.mark.parametrize(
    ("annotations", "taken", "lost"),
    [
        ([by("old", updated_at="2024-05"), by("new", updated_at="2024-06")], "new", 1),
        ([by("new", created_at="2024-06"), by("old", created_at="2024-05")], "new", 1),
        ([by("true", ground_truth=True), by("new", updated_at="2024-06")], "true", 1),
        ([by("done"), by("skipped", was_cancelled=True)], "done", 0),
        ([by("same"), by("same")], "same", 0),
        ([by("first"), by("second"), by("third")], "first", 2),
    ],
)
def test_of_several_annotations_one_is_taken(
    tmp_path: Path, annotations: Sequence[Any], taken: str, lost: int
) -> None:
    result = project(tmp_path, task("a.jpg", *annotations))
    assert result.dataset.names == [taken]
    assert len(list(result.dataset.instances())) == 1
    assert result.report.lost["annotations-of-others"] == lost
    assert result.report.count("label-studio.several-annotations") == bool(lost)


def test_tasks_that_nobody_annotated_are_left_out(tmp_path: Path) -> None:
    for name in ("b.jpg", "c.jpg", "d.jpg"):
        image(tmp_path / name)
    result = project(
        tmp_path,
        task("a.jpg", by("cat")),
        task("b.jpg", total_annotations=0),
        task("c.jpg", by("dog", was_cancelled=True)),
        task("d.jpg", annotation()),  # annotated: there is nothing on it
    )
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg", "d.jpg"]
    assert result.report.lost["images-not-annotated"] == 1
    assert result.report.lost["images-skipped"] == 1


def test_predictions_are_no_annotations(tmp_path: Path) -> None:
    guess = {"result": [part("rectanglelabels", BOX, "dog")]}
    result = project(tmp_path, task("a.jpg", by("cat"), predictions=[guess, guess]))
    assert result.dataset.names == ["cat"]
    assert result.report.lost == {"predictions": 2}


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("name", "forgiven"),
    [
        ("a b.jpg", ""),
        ("/data/local-files/?d=some/where/a%20b.jpg", ""),
        ("/data/local-files?d=images%2Fa+b.jpg", ""),
        ("https://some.where/x/a%20b.jpg?token=k.png#top", "encoding"),
        ("s3://bucket/x/a b.jpg", ""),
        (f"/tasks/7/presign/?fileuri={packed('s3://bucket/a b.jpg')}", ""),
        ("/data/upload/1/0123abcd-a_b.jpg", "tool"),
        ("C:\\pictures\\a b.jpg", ""),
    ],
)
def test_names_of_images(tmp_path: Path, name: str, forgiven: str) -> None:
    image(tmp_path / "images/a b.jpg")
    image(tmp_path / "images/c.jpg")
    result = project(tmp_path, task(name, by("cat")))
    (sample,) = result.dataset.samples
    assert sample.image == tmp_path / "images/a b.jpg"
    assert result.report.changed == ({f"images-matched-by-{forgiven}": 1} if forgiven else {})


def test_an_upload_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    image(tmp_path / "x/b.jpg")
    image(tmp_path / "y/b.jpg")
    result = project(
        tmp_path, task("/data/upload/1/0123abcd-b.jpg", by("cat")), task("a.jpg", by("cat"))
    )
    assert result.report.count("image.ambiguous") == 1
    assert len(result.dataset) == 1


def test_the_labelled_picture_of_several(tmp_path: Path) -> None:
    image(tmp_path / "b.jpg")
    drawn = annotation(part("rectanglelabels", BOX, to_name="photo"))
    data = {"thumb": "b.jpg", "photo": "a.jpg", "words": "a.txt"}
    result = project(tmp_path, {"data": data, "annotations": [drawn]})
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg"]


def test_data_under_any_name(tmp_path: Path) -> None:
    result = project(tmp_path, {"data": {"n": 1, "scan": "a.jpg"}, "annotations": [by("cat")]})
    assert len(result.dataset) == 1


@pytest.mark.parametrize("data", [{}, {"text": "words"}, {"pages": ["a.jpg", "b.jpg"]}])
def test_a_task_about_no_image(tmp_path: Path, data: Any) -> None:
    result = project(tmp_path, task("a.jpg", by("cat")), {"data": data, "annotations": []})
    assert result.report.lost == {"tasks-without-image": 1}
    assert "task 2" in str(next(result.report.of("error")))


@pytest.mark.parametrize("bad", [7, {}, {"result": None}])
def test_a_damaged_annotation_is_no_empty_one(tmp_path: Path, bad: Any) -> None:
    image(tmp_path / "b.jpg")
    result = project(tmp_path, task("a.jpg", by("cat")), task("b.jpg", bad))
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg"]
    assert result.report.lost["annotations-unreadable"] == 1
    assert "an annotation of task 2 has no result" in str(next(result.report.of("error")))


def test_the_completions_of_old(tmp_path: Path) -> None:
    old = {"data": {"image": "a.jpg"}, "completions": [by("cat", created_at=1600000000)]}
    assert project(tmp_path, old).dataset.names == ["cat"]


def test_a_file_per_task_and_a_file_per_annotation(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    document(tmp_path / "1.json", task("a.jpg", by("cat")))
    for number, label in ((2, "old"), (3, "new")):
        whole = by(label, updated_at=f"2024-0{number}", task={"data": {"image": "b.jpg"}})
        document(tmp_path / f"{number}.json", whole)
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 1, "new": 1}
    assert result.report.lost == {"annotations-of-others": 1}


def test_json_min(tmp_path: Path) -> None:
    value = {**BOX, "rectanglelabels": ["cat"], "original_width": 100, "original_height": 80}
    base = {"image": "a.jpg", "id": 1, "annotator": 1, "annotation_id": 1, "sunny": "yes"}
    newer = {**base, "annotator": 2, "tag": [{**value, "x": 20}], "updated_at": "2024-06"}
    result = project(tmp_path, {**base, "tag": [value], "updated_at": "2024-05"}, newer)
    (item,) = result.dataset.instances()
    assert item.box == Box(20, 16, 50, 48)
    assert result.report.lost == {"annotations-of-others": 1}


def test_a_photo_that_lies_on_its_side(tmp_path: Path) -> None:
    """The size is that of the stored picture: coordinates are turned with it."""
    image(tmp_path / "b.jpg", (100, 80), orientation=6)
    (sample,) = project(tmp_path, task("b.jpg", by("cat"))).dataset.samples
    assert sample.size == (80, 100)
    assert sample.instances[0].box == Box(32, 10, 64, 40)


CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="tag" toName="image">
<Label value="zebra"/><Label value="cat"/></RectangleLabels>
<KeyPointLabels name="k" toName="image"><Label value="nose"/></KeyPointLabels></View>"""


def test_the_interface_gives_the_order(tmp_path: Path) -> None:
    text(tmp_path / "label_config.xml", CONFIG)
    text(tmp_path / "of_another.xml", CONFIG.replace("cat", "x").replace("zebra", "y"))
    both = annotation(*(part("rectanglelabels", BOX, label) for label in ("ant", "cat")))
    assert project(tmp_path, task("a.jpg", both)).dataset.names == ["zebra", "cat", "ant"]


def test_a_broken_interface_is_said(tmp_path: Path) -> None:
    text(tmp_path / "label_config.xml", CONFIG[:-9])
    result = project(tmp_path, task("a.jpg", by("cat")))
    assert result.dataset.names == ["cat"]
    assert result.report.count("label-studio.bad-config") == 1


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    path = text(tmp_path / "a.json", '[{"annotations": [{"result": [{"from_name": "x"')
    with pytest.raises(DataError, match="broken JSON") as caught:
        read(tmp_path)
    assert caught.value.path == path


def boxes_by_image(dataset: Dataset) -> dict[str, list[tuple[str, Box]]]:
    return {
        s.image.name: sorted((dataset.names[i.category], i.box) for i in s.instances)
        for s in dataset.samples
    }


def test_cats_as_two_tools_have_them(shared: Path) -> None:
    """24 objects were drawn in both tools; one is on an image that is not there."""
    folder = shared / "data/cvat_ls_pexels"
    result, other = read(folder, "label-studio"), read(folder, "cvat")
    assert result.dataset.objects_per_class() == {"Cat": 18, "Cats": 5}
    assert result.report.lost == {"images": 1, "objects-without-image": 1}
    assert result.report.changed == {"images-matched-by-tool": 13}
    ours, theirs = boxes_by_image(result.dataset), boxes_by_image(other.dataset)
    assert ours.keys() == theirs.keys()
    for name, boxes in ours.items():
        assert [label for label, _ in boxes] == [label for label, _ in theirs[name]]
        for (_, a), (_, b) in zip(boxes, theirs[name], strict=True):
            assert box_iou(a, b) > 0.8, name  # drawn by hand, twice


FIXTURES = [
    "test_export_coco/data.json",
    "test_export_doclang/data.json",
    "test_export_json_min/data.json",
    "test_export_yolo/data.json",
    "test_export_yolo/data_keypoints.json",
    "test_export_yolo/data_obb.json",
    "test_export_yolo/data_polygons.json",
]


@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures_of_the_tool_itself(shared: Path, tmp_path: Path, name: str) -> None:
    """With an image for every task, as large as the regions say."""
    tasks = read_json(shared / "data/tiny_lsconverter" / name)
    wanted: Counter[str] = Counter()
    for place, record in enumerate(tasks):
        record["data"]["image"] = f"{place}.png"
        made = [a for a in record["annotations"] if not a.get("was_cancelled")]
        last = max(made, key=lambda a: a.get("updated_at", ""), default={"result": []})
        sizes = {
            (p["original_width"], p["original_height"])
            for p in last["result"]
            if "original_width" in p
        }
        image(tmp_path / f"{place}.png", sizes.pop() if sizes else (100, 80))
        for p in last["result"]:
            if p["type"] in ("rectanglelabels", "polygonlabels"):
                wanted.update(p["value"][p["type"]])
    document(tmp_path / "data.json", tasks)
    result = read(tmp_path)
    assert result.format == "label-studio"
    assert result.dataset.objects_per_class() == dict(wanted)
    assert not list(result.report.of("error"))
