from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask
from detect_tl.formats.detect import ReadResult
from tests.formats.makers import document, image, read, text

SIDE = {"top": 20, "left": 10, "height": 40, "width": 30}
CORNERS = [{"x": 1, "y": 1}, {"x": 21, "y": 1}, {"x": 1, "y": 31}]


def found(name: str = "cat", **more: Any) -> Any:
    return {"name": name, "annotation_kind": "ImageBoundingBox", "bounding_box": SIDE, **more}


def label(*objects: Any, **details: Any) -> Any:
    return {
        "label_kind": "Default",
        "label_details": details,
        "annotations": {"objects": list(objects), "classifications": [], "relationships": []},
    }


def row(name: str, *labels: Any, **more: Any) -> Any:
    return {
        "data_row": {"id": "k", "external_id": name, "row_data": f"https://x.y/z/{name}?token=1"},
        "media_attributes": {"width": 100, "height": 80, "mime_type": "image/jpeg"},
        "projects": {"p": {"name": "P", "labels": list(labels)}},
        **more,
    }


def lines(folder: Path, *rows: Any) -> ReadResult:
    image(folder / "a.jpg")
    content = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows)
    text(folder / "export.ndjson", content)
    return read(folder)


def labels(result: ReadResult) -> list[str]:
    return [result.dataset.names[item.category] for item in result.dataset.instances()]


def test_boxes_and_polygons(tmp_path: Path) -> None:
    outline = {"name": "dog", "annotation_kind": "ImagePolygon", "polygon": [*CORNERS, CORNERS[0]]}
    result = lines(tmp_path, row("a.jpg", label(found(), outline)))
    box, polygon = result.dataset.instances()
    assert result.format == "labelbox"
    assert (box.box, box.mask) == (Box(10, 20, 40, 60), None)
    assert isinstance(polygon.mask, PolygonMask)
    assert polygon.mask.parts[0].tolist() == [[1, 1], [21, 1], [1, 31]]
    assert not result.report.findings


def test_answers_are_attributes(tmp_path: Path) -> None:
    questions = [
        {"name": "wet", "radio_answer": {"name": "yes", "classifications": []}},
        {"name": "parts", "checklist_answers": [{"name": "ear"}, {"name": "tail"}]},
        {"name": "note", "text_answer": {"content": "odd"}},
        {"name": "empty"},
    ]
    result = lines(tmp_path, row("a.jpg", label(found(classifications=questions))))
    (item,) = result.dataset.instances()
    assert dict(item.attributes) == {"wet": "yes", "parts": ["ear", "tail"], "note": "odd"}


def test_what_is_not_in_the_file_is_counted(tmp_path: Path) -> None:
    objects = [
        found(),
        {"name": "cat", "mask": {"url": "https://x.y/mask"}},
        {"name": "cat", "composite_mask": {"url": "https://x.y/mask", "color_rgb": [1, 2, 3]}},
        {"name": "eye", "point": {"x": 1, "y": 1}},
        {"name": "edge", "line": CORNERS},
        {"name": "what", "annotation_kind": "ImageSphere"},
    ]
    result = lines(tmp_path, row("a.jpg", label(*objects)))
    assert labels(result) == ["cat"]
    kinds = {"objects-point": 1, "objects-line": 1, "objects-ImageSphere": 1}
    assert result.report.lost == {"masks-not-fetched": 2, **kinds}
    assert result.report.count("labelbox.mask-address") == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (found(bounding_box={**SIDE, "top": "high"}), "'high' is not a finite number"),
        (found(bounding_box={"top": 1}), "it has no 'left'"),
        (found(bounding_box=None, polygon=CORNERS[:2]), "has 2 points"),
        (found(bounding_box=None, polygon=[{"x": 1}] * 3), "it has no 'y'"),
        (found(name=" "), "label is empty"),
        ({"bounding_box": SIDE}, "it has no 'name'"),
        ("cat", "no object"),
    ],
)
def test_a_damaged_object_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    result = lines(tmp_path, row("a.jpg", label(found(), bad)))
    (finding,) = result.report.of("error")
    assert "object 2 of 'a.jpg' is lost" in finding.message
    assert words in finding.message
    assert labels(result) == ["cat"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ('{"data_row": {', "broken JSON"),
        ({"data": 1}, "no row with data"),
        ([1], "no row with data"),
        (row("a.jpg", data_row={"id": 1}), "names no image"),
        (row("a.jpg", {"annotations": {"objects": 7}}), "its objects are no list"),
        (row("a.jpg", 7), "row 2 is lost"),
        (row("a.jpg", projects={"p": {"labels": {"a": 1}}}), "its labels are no list"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    result = lines(tmp_path, row("a.jpg", label(found())), bad)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert finding.line == 2
    assert result.report.lost == {"rows-unreadable": 1}
    assert labels(result) == ["cat"]


@pytest.mark.parametrize(
    ("made", "taken", "lost"),
    [
        (
            [label(found("old"), updated_at="2023"), label(found("new"), updated_at="2024")],
            "new",
            1,
        ),
        (
            [label(found("truth"), is_benchmark_reference=True), label(found(), updated_at="2024")],
            "truth",
            1,
        ),
        ([label(found("done")), {**label(), "performance_details": {"skipped": True}}], "done", 0),
    ],
)
def test_of_several_labels_one_is_taken(
    tmp_path: Path, made: list[Any], taken: str, lost: int
) -> None:
    result = lines(tmp_path, row("a.jpg", *made))
    assert labels(result) == [taken]
    assert result.report.lost["annotations-of-others"] == lost


def test_of_several_projects_one_is_taken(tmp_path: Path) -> None:
    image(tmp_path / "b.jpg")
    both = {"p": {"labels": [label(found())]}, "q": {"labels": [label(found("other"))]}}
    result = lines(tmp_path, row("b.jpg", label(found())), row("a.jpg", projects=both))
    assert labels(result) == ["cat", "cat"]
    assert result.report.lost == {"labels-of-other-projects": 1}
    assert result.report.count("labelbox.several-projects") == 1


def test_rows_without_labels_are_no_background(tmp_path: Path) -> None:
    for name in ("b.jpg", "c.jpg"):
        image(tmp_path / name)
    result = lines(tmp_path, row("a.jpg", label(found())), row("b.jpg"), row("c.jpg", label()))
    assert [len(s.instances) for s in result.dataset.samples] == [1, 0]  # c: nothing is on it
    assert result.report.lost["images-not-annotated"] == 1


def test_videos_are_left_out(tmp_path: Path) -> None:
    video = {"label_kind": "Video", "annotations": {"frames": {"1": {"objects": {}}}}}
    result = lines(tmp_path, row("a.jpg", label(found())), row("v.mp4", video))
    assert result.report.lost == {"rows-of-video": 1}


def test_a_smaller_copy_was_labelled(tmp_path: Path) -> None:
    half = {"width": 50, "height": 40}
    small = found(bounding_box={"top": 10, "left": 5, "height": 20, "width": 15})
    result = lines(tmp_path, row("a.jpg", label(small), media_attributes=half))
    (item,) = result.dataset.instances()
    assert item.box == Box(10, 20, 40, 60)
    assert result.report.count("image.size-mismatch") == 1


def old(name: str, content: Any, **more: Any) -> Any:
    return {
        "ID": "k",
        "Labeled Data": f"https://x.y/{name}?Expires=1",
        "External ID": name,
        "Label": content,
        **more,
    }


def listed(folder: Path, *rows: Any) -> ReadResult:
    image(folder / "a.jpg")
    document(folder / "export.json", list(rows))
    return read(folder)


def test_the_export_before(tmp_path: Path) -> None:
    objects = [
        {
            "title": "cat",
            "value": "cat",
            "bbox": SIDE,
            "classifications": [
                {"title": "wet", "answer": {"title": "yes"}},
                {"title": "parts", "answers": [{"title": "ear"}]},
                {"title": "note", "answer": "odd"},
            ],
        },
        {"title": "dog", "polygon": CORNERS},
        {"title": "dog", "instanceURI": "https://x.y/mask"},
    ]
    result = listed(tmp_path, old("a.jpg", {"objects": objects, "classifications": []}))
    assert labels(result) == ["cat", "dog"]
    first = next(result.dataset.instances())
    assert first.box == Box(10, 20, 40, 60)
    assert dict(first.attributes) == {"wet": "yes", "parts": ["ear"], "note": "odd"}
    assert result.report.lost == {"masks-not-fetched": 1}


@pytest.mark.parametrize(
    "content",
    [
        {"cat": [{"geometry": CORNERS}]},
        {"cat": [CORNERS]},
        json.dumps({"cat": [CORNERS]}),
    ],
)
def test_the_oldest_export(tmp_path: Path, content: Any) -> None:
    result = listed(tmp_path, old("a.jpg", content))
    (item,) = result.dataset.instances()
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0].tolist() == [[1, 1], [21, 1], [1, 31]]
    assert result.report.count("labelbox.old-export") == 1


def test_a_label_in_broken_text_is_named(tmp_path: Path) -> None:
    result = listed(tmp_path, old("a.jpg", '{"cat": ['), old("a.jpg", {"cat": [CORNERS]}))
    assert labels(result) == ["cat"]
    assert result.report.lost == {"rows-unreadable": 1}
    assert "row 1 is lost: its label is broken JSON" in str(next(result.report.of("error")))


def test_well_known_text_is_not_guessed(tmp_path: Path) -> None:
    content = {"cat": "MULTIPOLYGON (((1 1, 21 1, 1 31, 1 1)))", "dog": [CORNERS]}
    result = listed(tmp_path, old("a.jpg", content))
    assert labels(result) == ["dog"]
    assert result.report.lost == {"objects-well-known text": 1}


def test_rows_of_one_image_are_never_united(tmp_path: Path) -> None:
    for name in ("b.jpg", "c.jpg"):
        image(tmp_path / name)
    result = listed(
        tmp_path,
        old("a.jpg", {"objects": [{"title": "old", "bbox": SIDE}]}, **{"Updated At": "2020"}),
        old("a.jpg", {"objects": [{"title": "new", "bbox": SIDE}]}, **{"Updated At": "2021"}),
        old("b.jpg", "Skip"),
        old("c.jpg", {"objects": []}, Skipped=True),
    )
    assert labels(result) == ["new"]
    assert result.report.lost["annotations-of-others"] == 1
    assert result.report.lost["images-skipped"] == 2


@pytest.mark.parametrize("spread", [None, 2])
def test_todays_rows_as_one_document(tmp_path: Path, spread: int | None) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "export.json", json.dumps([row("a.jpg", label(found()))], indent=spread))
    assert labels(read(tmp_path)) == ["cat"]


def test_lines_under_the_name_of_json(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    image(tmp_path / "b.jpg")
    both = [row(name, label(found())) for name in ("a.jpg", "b.jpg")]
    text(tmp_path / "export.json", "\n".join(map(json.dumps, both)))
    assert labels(read(tmp_path)) == ["cat", "cat"]


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    path = text(tmp_path / "export.json", '[{"Labeled Data": "a.jpg", "Label": {')
    with pytest.raises(DataError, match="broken JSON") as caught:
        read(tmp_path)
    assert caught.value.path == path
