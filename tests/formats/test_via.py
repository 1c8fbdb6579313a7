from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from detect_tl.core.dataset import Instance
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask, mask_area
from detect_tl.formats.detect import ReadResult
from tests.formats.makers import document, image, read, text

RECT = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}
XS, YS = [1, 21, 1], [1, 1, 31]
POLYGON = {"name": "polygon", "all_points_x": XS, "all_points_y": YS}


def region(shape: Mapping[str, Any], **said: Any) -> Any:
    return {"shape_attributes": shape, "region_attributes": said}


def described(name: str, regions: Any) -> Any:
    return {f"{name}99": {"filename": name, "size": 99, "regions": regions, "file_attributes": {}}}


def export(folder: Path, *regions: Any, name: str = "via.json", images: str = "a.jpg") -> Path:
    image(folder / images)
    return document(folder / name, described(images, list(regions)))


def one(folder: Path, *regions: Any) -> Instance:
    export(folder, *regions)
    (item,) = read(folder).dataset.instances()
    return item


def labels(result: ReadResult) -> list[str]:
    return [result.dataset.names[item.category] for item in result.dataset.instances()]


def test_rectangles(tmp_path: Path) -> None:
    item = one(tmp_path, region(RECT, kind="cat"))
    assert (item.box, item.mask) == (Box(10, 20, 40, 60), None)
    assert not item.attributes


@pytest.mark.parametrize("closed", [False, True])
def test_polygons(tmp_path: Path, closed: bool) -> None:
    """VIA 1 repeats the first point at the end."""
    more = [1] if closed else []
    shape = {**POLYGON, "all_points_x": XS + more, "all_points_y": YS + more}
    item = one(tmp_path, region(shape, kind="cat"))
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0].tolist() == [[1, 1], [21, 1], [1, 31]]
    assert item.box == Box(1, 1, 21, 31)


@pytest.mark.parametrize(
    ("shape", "area", "box"),
    [
        ({"name": "circle", "cx": 50, "cy": 40, "r": 30}, 900, (20, 10, 80, 70)),
        ({"name": "ellipse", "cx": 50, "cy": 40, "rx": 30, "ry": 10}, 300, (20, 30, 80, 50)),
        (
            {"name": "ellipse", "cx": 50, "cy": 40, "rx": 30, "ry": 10, "theta": math.pi / 2},
            300,
            (40, 10, 60, 70),
        ),
    ],
)
def test_round_shapes_become_polygons(
    tmp_path: Path, shape: Mapping[str, Any], area: float, box: Sequence[float]
) -> None:
    item = one(tmp_path, region(shape, kind="cat"))
    assert item.mask is not None
    assert mask_area(item.mask) == pytest.approx(math.pi * area, rel=0.01)
    assert item.box == pytest.approx(box, abs=0.2)


def test_an_ellipse_is_turned_clockwise(tmp_path: Path) -> None:
    shape = {"name": "ellipse", "cx": 50, "cy": 40, "rx": 30, "ry": 1, "theta": math.pi / 4}
    item = one(tmp_path, region(shape, kind="cat"))
    assert isinstance(item.mask, PolygonMask)
    (ring,) = item.mask.parts
    assert ((ring[:, 0] > 60) == (ring[:, 1] > 50)).all()  # from the top left to the bottom right


def test_what_has_no_area_is_counted(tmp_path: Path) -> None:
    shapes: list[dict[str, Any]] = [
        {"name": "point", "cx": 1, "cy": 1},
        {"name": "polyline", "all_points_x": XS, "all_points_y": YS},
        {"name": "polyline", "all_points_x": XS, "all_points_y": YS},
    ]
    export(tmp_path, *(region(shape, kind="cat") for shape in (*shapes, RECT)))
    result = read(tmp_path)
    assert result.report.lost == {"regions-point": 1, "regions-polyline": 2}
    assert result.report.count("via.no-area") == 2
    assert labels(result) == ["cat"]


CLASSES = [
    # (attributes of the regions, classes, attributes left)
    ([{"anything": "cat"}, {"anything": "dog"}], ["cat", "dog"], {}),
    ([{"kind": {"cat": True, "dog": False}}, {"kind": {"dog": True}}], ["cat", "dog"], {}),
    ([{"cat": "true"}, {"dog": "on"}, {"dog": True, "cat": False}], ["cat", "dog", "dog"], {}),
    ([{"cat": "yes", "dog": "no"}], ["cat"], {}),
    ([{"class": "1"}, {"class": "0"}], ["1", "0"], {}),  # a number, not yes and no
    ([{"color": "red", "Class_Name": "cat"}], ["cat"], {"color": "red"}),
    ([{"wet": "yes", "animal": "cat"}], ["cat"], {"wet": "yes"}),
    ([{"colour": "red", "type": "cat"}], ["cat"], {"colour": "red"}),
    (
        [{"note": "odd", "animal": "cat"}, {"note": "", "animal": "dog"}],
        ["cat", "dog"],
        {"note": "odd"},
    ),
    ([{}, {}], ["object", "object"], {}),
    ([{"class": ""}], ["object"], {}),
]


@pytest.mark.parametrize(("said", "names", "left"), CLASSES)
def test_which_attribute_is_the_class(
    tmp_path: Path, said: Sequence[Mapping[str, Any]], names: list[str], left: Mapping[str, str]
) -> None:
    export(tmp_path, *(region(RECT, **attributes) for attributes in said))
    result = read(tmp_path)
    assert labels(result) == names
    assert dict(next(result.dataset.instances()).attributes) == left
    assert not result.report.lost


def test_the_choice_of_an_attribute_is_said(tmp_path: Path) -> None:
    export(tmp_path, region(RECT, color="red", category="cat"))
    (finding,) = read(tmp_path).report.findings
    assert finding.code == "via.class-attribute"
    assert "the value of 'category', not of color" in finding.message


def test_objects_that_nothing_names_are_said(tmp_path: Path) -> None:
    export(tmp_path, region(RECT))
    (finding,) = read(tmp_path).report.findings
    assert (finding.code, finding.severity) == ("via.no-class", "warning")


def test_an_object_without_a_class_beside_others_is_lost(tmp_path: Path) -> None:
    export(tmp_path, region(RECT, kind="cat"), region(RECT), region(RECT, kind=""))
    result = read(tmp_path)
    assert labels(result) == ["cat"]
    assert result.report.lost == {"objects-without-class": 2}
    assert "region 2 of 'a.jpg' is lost: it has no 'kind'" in str(next(result.report.of("error")))


def test_several_ticks_are_said(tmp_path: Path) -> None:
    export(tmp_path, region(RECT, kind={"dog": True, "cat": True}))
    result = read(tmp_path)
    assert labels(result) == ["dog"]
    assert dict(next(result.dataset.instances()).attributes) == {"kind": ["dog", "cat"]}
    assert result.report.changed == {"objects-of-several-classes": 1}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
def test_the_exports_of_all_versions(tmp_path: Path, wrapped: bool, numbered: bool) -> None:
    image(tmp_path / "a.jpg")
    regions = [region(RECT, kind="cat"), region(POLYGON, kind="dog")]
    listed = {str(k): r for k, r in enumerate(regions)} if numbered else regions
    images = {**described("a.jpg", listed), **described("b.jpg", {} if numbered else [])}
    image(tmp_path / "b.jpg")
    document(tmp_path / "x.json", {"_via_img_metadata": images} if wrapped else images)
    result = read(tmp_path)
    assert labels(result) == ["cat", "dog"]
    assert [len(s.instances) for s in result.dataset.samples] == [2, 0]
    assert not result.report.findings


def test_a_project_declares_the_classes(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    kind = {"type": "dropdown", "options": {"zebra": "striped", "cat": ""}}
    project = {
        "_via_img_metadata": described("a.jpg", [region(RECT, kind=k) for k in ("cat", "ant")]),
        "_via_attributes": {"region": {"kind": kind, "other": {"type": "text"}}, "file": {}},
    }
    document(tmp_path / "x.json", project)
    assert read(tmp_path).dataset.names == ["zebra", "cat", "ant"]


HEADER = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes"


def row(name: str, shape: Mapping[str, Any], said: str) -> str:
    cells = [name, "9", "{}", "1", "0", json.dumps(shape), said]
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def table(folder: Path, *rows: str, first: str = "") -> Path:
    for name in ("a.jpg", "b.jpg"):
        image(folder / name)
    return text(folder / "x.csv", "\n".join([f"{first}{HEADER},region_attributes", *rows, ""]))


@pytest.mark.parametrize("first", ["", "\ufeff"])
def test_tables(tmp_path: Path, first: str) -> None:
    rows = [
        row("a.jpg", RECT, '{"kind": "cat"}'),
        row("a.jpg", POLYGON, '{"kind": "dog"}'),
        row("b.jpg", {}, "{}"),
    ]
    result = read(table(tmp_path, *rows, first=first).parent)
    assert labels(result) == ["cat", "dog"]
    assert [len(s.instances) for s in result.dataset.samples] == [2, 0]
    assert not result.report.findings


def test_undefined_is_no_json(tmp_path: Path) -> None:
    said = '{"kind": "undefined", "type": undefined, "more": "\\" undefined"}'
    table(tmp_path, row("b.jpg", RECT, '{"kind": "x"}'), row("a.jpg", RECT, said))
    result = read(tmp_path)
    assert labels(result) == ["x", "undefined"]
    assert dict(list(result.dataset.instances())[1].attributes) == {"more": '" undefined'}
    assert result.report.changed == {"undefined-attributes-left-out": 1}
    assert [f.line for f in result.report.findings if f.code == "via.undefined"] == [3]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (row("a.jpg", RECT, '{"kind": '), "no JSON"),
        (row("a.jpg", RECT, "[1]"), "no object"),
        (row("", RECT, "{}"), "names no file"),
        (row("a.jpg", {**RECT, "x": None}, '{"kind": "cat"}'), "None is not a finite number"),
        ('a.jpg,9,"{}",1', "it has no 'region_shape_attributes'"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, bad: str, words: str) -> None:
    path = table(tmp_path, row("b.jpg", RECT, '{"kind": "cat"}'), bad)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (path, 3)
    assert labels(result) == ["cat"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (region({**RECT, "width": "wide"}, kind="cat"), "'wide' is not a finite number"),
        (region({"name": "star"}, kind="cat"), "there is no shape 'star'"),
        (region({**POLYGON, "all_points_x": [1, 2]}, kind="cat"), "same shape"),
        (region({"name": "circle", "cx": 1, "cy": 1, "r": 0}, kind="cat"), "its radii are 0"),
        (region({}, kind="cat"), "it has no 'name'"),
        (region([], kind="cat"), "no object"),
        ("region", "region 2 of 'a.jpg' is lost"),
    ],
)
def test_a_damaged_region_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    export(tmp_path, region(RECT, kind="cat"), bad)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert "region 2 of 'a.jpg' is lost" in finding.message
    assert labels(result) == ["cat"]


@pytest.mark.parametrize(
    "bad",
    [7, {"regions": []}, {"filename": " ", "regions": []}, {"filename": "a.jpg", "regions": 5}],
)
def test_a_damaged_image_is_named(tmp_path: Path, bad: Any) -> None:
    image(tmp_path / "b.jpg")
    images = {**described("b.jpg", [region(RECT, kind="cat")]), "odd": bad}
    document(tmp_path / "x.json", images)
    result = read(tmp_path)
    assert result.report.lost["images-unreadable"] == 1
    assert "image 'odd' is lost" in str(next(result.report.of("error")))


def test_files_that_agree_are_one(tmp_path: Path) -> None:
    export(tmp_path, region(RECT, kind="cat"))
    export(tmp_path, region(RECT, kind="cat"), name="again.json")
    result = read(tmp_path)
    assert labels(result) == ["cat"]
    assert result.report.changed == {"repeated-annotations-merged": 1}


def test_files_that_differ_are_not_united(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder, name = tmp_path / split, f"{split}.jpg"
        export(folder, region(RECT, kind="cat"), name="whole.json", images=name)
        export(folder, region(RECT, kind="cat"), name="same.json", images=name)
        export(folder, region(POLYGON, kind="ear"), name=f"{split}_parts.json", images=name)
    with pytest.raises(DataError, match="2 accounts of the same images differ") as caught:
        read(tmp_path)
    said = str(caught.value)
    assert "(1) train/same.json and 3 more; (2) train/train_parts.json and 1 more" in said
    assert "--annotations '*_parts.json'" in caught.value.hint
    assert labels(read(tmp_path, annotations="*_parts.json")) == ["ear", "ear"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", '{"_via_img_metadata": {', "broken JSON"),
        ("x.json", '{"_via_img_metadata": []}', "its images are no object"),
        ("x.json", '[{"shape_attributes": {}, "region_attributes": {}}]', "no object of images"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, content: str, words: str) -> None:
    image(tmp_path / "a.jpg")
    path = text(tmp_path / name, content)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    assert caught.value.path == path


def version_3(*metadata: Any) -> Any:
    options = {"0": "cat", "1": "dog"}
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "pname": "p", "vid_list": ["1", "2"]},
        "config": {},
        "attribute": {
            "1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": options},
            "2": {
                "aname": "state",
                "anchor_id": "FILE1_Z0_XY1",
                "type": 2,
                "options": {"0": "wet"},
            },
        },
        "file": {
            "1": {"fid": "1", "fname": "a.jpg", "type": 2, "loc": 1, "src": ""},
            "2": {"fid": "2", "fname": "b.jpg", "type": 2, "loc": 1, "src": ""},
        },
        "metadata": {f"1_{k}": m for k, m in enumerate(metadata)},
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    }


def spot(xy: Sequence[float], value: str = "0", **more: Any) -> Any:
    return {"vid": "1", "flg": 0, "z": [], "xy": list(xy), "av": {"1": value, **more}}


def test_version_3(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    metadata = [
        spot([2, 10, 20, 30, 40], "1", **{"2": "0"}),
        spot([7, 1, 1, 21, 1, 1, 31]),
        spot([3, 50, 40, 20]),
        spot([4, 50, 40, 20, 10]),
        spot([8, 10, 30, 40, 25, 20, 20, 30, 60]),
        spot([1, 5, 5]),
        spot([6, 1, 1, 2, 2]),
        spot([99, 1]),
        {**spot([2, 1, 1, 1, 1]), "vid": "9"},
    ]
    document(tmp_path / "p.json", version_3(*metadata))
    result = read(tmp_path)
    assert result.dataset.names == ["cat", "dog"]
    assert labels(result) == ["dog", "cat", "cat", "cat", "cat"]
    items = list(result.dataset.instances())
    assert dict(items[0].attributes) == {"state": {"wet": True}}
    assert items[0].box == Box(10, 20, 40, 60)
    assert items[1].box == Box(1, 1, 21, 31)
    assert items[4].box == Box(10, 20, 40, 60)
    lost = {"regions-point": 1, "regions-polyline": 1, "objects-unreadable": 2}
    assert result.report.lost == lost
    assert [len(s.instances) for s in result.dataset.samples] == [5, 0]


@pytest.mark.parametrize(
    ("file", "view", "words"),
    [
        ({"fname": "v.mp4", "type": 4}, {"fid_list": ["3"]}, "its file is no image"),
        ({"fname": "", "type": 2}, {"fid_list": ["3"]}, "its file has no name"),
        ({"fname": "b.jpg", "type": 2}, {"fid_list": ["1", "3"]}, "not show exactly one file"),
    ],
)
def test_what_version_3_has_beside_images(tmp_path: Path, file: Any, view: Any, words: str) -> None:
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    project = version_3(spot([2, 10, 20, 30, 40]), {**spot([2, 1, 2, 3, 4]), "vid": "3"})
    project["file"]["3"] = {"fid": "3", **file}
    project["view"]["3"] = view
    document(tmp_path / "p.json", project)
    result = read(tmp_path)
    assert labels(result) == ["cat"]
    lost = [finding.message for finding in result.report.of("error")]
    assert [words in message for message in lost] == [True, True]  # the view, and its region


def test_cars_in_files_that_agree(shared: Path) -> None:
    """JSON and CSV of the same regions are read as one account."""
    result = read(shared / "data/via_cardamage", annotations="via_region_data.*")
    assert result.dataset.objects_per_class() == {"damage": 164}
    assert result.report.changed["undefined-attributes-left-out"] == 164


def test_receipts_in_files_that_agree(shared: Path) -> None:
    result = read(shared / "data/via_receipts6", "via")
    assert result.dataset.objects_per_class() == {"Date": 6, "Header": 6, "Total": 6}
    assert not result.report.lost
