from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.dataset import Instance
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask, RleMask, mask_area, rle_to_bitmap
from detect_tl.formats.detect import ReadResult
from tests.formats.makers import image, read, text, voc, voc_object

TRIANGLE = "1,1;40,1;20,50"
CORNERS = 'xtl="10" ytl="20" xbr="30.5" ybr="40"'


def label(name: str, **attributes: str) -> str:
    inside = "".join(
        f"<attribute><name>{k}</name><input_type>{v}</input_type></attribute>"
        for k, v in attributes.items()
    )
    return f"<label><name>{name}</name><attributes>{inside}</attributes></label>\n"


CAT_AND_DOG = label("dog") + label("cat")


def shape(tag: str, place: str, name: str = "cat", inside: str = "") -> str:
    return f'<{tag} label="{name}" {place}>{inside}</{tag}>\n'


def cvat(
    path: Path, *images: str, labels: str = CAT_AND_DOG, owner: str = "task", more: str = ""
) -> Path:
    meta = f"<meta><{owner}>{more}\n<labels>\n{labels}</labels></{owner}></meta>"
    body = f"<annotations>\n<version>1.1</version>\n{meta}\n{''.join(images)}</annotations>\n"
    return text(path, body)


def picture(name: str, *shapes: str, more: str = 'width="100" height="80"') -> str:
    return f'<image id="0" name="{name}" {more}>\n{"".join(shapes)}</image>\n'


def one(tmp_path: Path, *shapes: str, labels: str = CAT_AND_DOG) -> ReadResult:
    image(tmp_path / "images/a.jpg")
    cvat(tmp_path / "annotations.xml", picture("a.jpg", *shapes), labels=labels)
    return read(tmp_path)


def only(result: ReadResult) -> Instance:
    (item,) = result.dataset.instances()
    return item


def test_a_box(tmp_path: Path) -> None:
    result = one(tmp_path, shape("box", CORNERS))
    assert result.format == "cvat"
    assert only(result) == Instance(1, Box(10, 20, 30.5, 40))
    assert result.dataset.names == ["dog", "cat"]  # in the order of the file
    assert not result.report.findings


@pytest.mark.parametrize(
    ("degrees", "corner"),
    [(90, (60, 20)), (180, (70, 50)), (30, (50 - 10 * math.sqrt(3) + 5, 40 - 10 - 5 * 3**0.5))],
)
def test_a_box_turns_clockwise_about_its_centre(
    tmp_path: Path, degrees: float, corner: tuple[float, float]
) -> None:
    place = f'xtl="30" ytl="30" xbr="70" ybr="50" rotation="{degrees}"'
    item = only(one(tmp_path, shape("box", place)))
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0][0] == pytest.approx(corner)
    assert mask_area(item.mask) == pytest.approx(40 * 20)
    if degrees == 90:
        assert item.box == pytest.approx((40, 20, 60, 60))


def test_a_whole_turn_leaves_a_box(tmp_path: Path) -> None:
    assert only(one(tmp_path, shape("box", f'{CORNERS} rotation="360.00"'))).mask is None


def test_a_polygon(tmp_path: Path) -> None:
    item = only(one(tmp_path, shape("polygon", f'points="{TRIANGLE}"')))
    assert item.mask == PolygonMask((np.asarray([[1.0, 1], [40, 1], [20, 50]]),))
    assert item.box == Box(1, 1, 40, 50)


def test_an_ellipse_is_fine_enough(tmp_path: Path) -> None:
    item = only(one(tmp_path, shape("ellipse", 'cx="50" cy="40" rx="30" ry="10" rotation="90"')))
    assert item.mask is not None
    assert mask_area(item.mask) == pytest.approx(math.pi * 30 * 10, rel=0.01)
    assert item.box == pytest.approx((40, 10, 60, 70), abs=0.2)


def test_run_lengths_go_along_the_rows_of_their_rectangle(tmp_path: Path) -> None:
    place = 'rle="1, 2, 1, 2" left="10" top="20" width="3" height="2"'
    item = only(one(tmp_path, shape("mask", place)))
    assert isinstance(item.mask, RleMask)
    expected = np.zeros((80, 100), np.uint8)
    expected[20:22, 10:13] = [[0, 1, 1], [0, 1, 1]]
    assert (rle_to_bitmap(item.mask) == expected).all()
    assert item.box == Box(11, 20, 13, 22)


def test_attributes_have_the_types_that_the_file_declares(tmp_path: Path) -> None:
    kinds = {"wet": "checkbox", "age": "number", "weight": "number", "code": "text"}
    values = {"wet": "true", "age": "3", "weight": "2.5", "code": "0003", "unknown": " true "}
    inside = "".join(f'<attribute name="{k}">{v}</attribute>' for k, v in values.items())
    place = f'{CORNERS} occluded="1" z_order="-2" source="auto" group_id="0"'
    flags = {"occluded": True, "z_order": -2, "source": "auto"}
    typed = {"wet": True, "age": 3, "weight": 2.5}
    item = only(one(tmp_path, shape("box", place, inside=inside), labels=label("cat", **kinds)))
    assert dict(item.attributes) == {
        **flags,
        **{name: value for name, value in values.items() if name in ("code", "unknown")},
        **typed,
    }
    assert type(item.attributes["age"]) is int


def test_a_value_of_another_type_stays_text(tmp_path: Path) -> None:
    values = ["1_0", "nan", "1e999", "9" * 5000, "٣"]
    inside = [f'<attribute name="age">{value}</attribute>' for value in values]
    shapes = [shape("box", CORNERS, inside=i) for i in inside]
    result = one(tmp_path, *shapes, labels=label("cat", age="number"))
    assert [item.attributes["age"] for item in result.dataset.instances()] == values


@pytest.mark.parametrize(("value", "crowd"), [("true", True), ("1", True), ("false", False)])
def test_crowds_are_marked_as_cvat_marks_them(tmp_path: Path, value: str, crowd: bool) -> None:
    inside = f'<attribute name="is_crowd">{value}</attribute>'
    kind = "number" if value == "1" else "checkbox"
    item = only(
        one(tmp_path, shape("box", CORNERS, inside=inside), labels=label("cat", is_crowd=kind))
    )
    assert (item.iscrowd, dict(item.attributes)) == (crowd, {})


def test_outlines_of_a_group_are_one_object(tmp_path: Path) -> None:
    far = 'points="60,60;70,60;70,70"'
    result = one(
        tmp_path,
        shape("polygon", f'points="{TRIANGLE}" group_id="1"'),
        shape("polygon", f'{far} group_id="1"'),
        shape("polygon", f'{far} group_id="2" occluded="1"'),
        shape("polygon", f'{far} group_id="2"'),  # differs in what it says
        shape("box", f'{CORNERS} group_id="3"'),
        shape("box", f'{CORNERS} group_id="3"'),  # boxes have no parts
    )
    first, *others = result.dataset.instances()
    assert isinstance(first.mask, PolygonMask)
    assert len(first.mask.parts) == 2
    assert first.box == Box(1, 1, 70, 70)
    assert not first.attributes  # the group has done its duty
    assert [item.attributes["group_id"] for item in others] == [2, 2, 3, 3]
    assert result.report.changed == {"outlines-joined-by-group": 2}


def test_what_has_no_area_is_counted_with_its_line(tmp_path: Path) -> None:
    result = one(
        tmp_path,
        shape("points", 'points="1,1"'),
        shape("polyline", f'points="{TRIANGLE}"'),
        shape("cuboid", 'xtl1="1"'),
        shape("skeleton", "", inside='<points label="nose" points="1,1"/>'),
        shape("tag", ""),
        shape("box", CORNERS),
    )
    kinds = ["points", "polyline", "cuboid", "skeleton", "tag"]
    assert result.report.lost == {f"shapes-{kind}": 1 for kind in kinds}
    lines = [f.line for f in result.report.findings if f.code == "cvat.no-area"]
    assert lines == [9, 10, 11, 12, 13]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (shape("box", 'xtl="1" ytl="2" xbr="3"'), "it has no 'ybr'"),
        (shape("box", CORNERS.replace("40", "nan")), "'nan' is not a finite number"),
        (shape("box", f'{CORNERS} rotation="east"'), "'east' is not a finite number"),
        (shape("polygon", 'points="1,1;2"'), 'not of the form "x,y;x,y"'),
        (shape("polygon", 'points="1,1;2,2"'), "2 points, not 3"),
        (shape("ellipse", 'cx="5" cy="5" rx="0" ry="2"'), "its radii are 0 and 2"),
        (shape("mask", 'rle="1,2" left="0" top="0" width="2" height="2"'), "add up to 3"),
        (shape("mask", 'rle="-1,5" left="0" top="0" width="2" height="2"'), "add up to 4"),
        (shape("mask", 'rle="4" left="0" top="0" width="2" height="2"'), "its mask is empty"),
        (shape("mask", 'rle="0,4" left="99" top="0" width="2" height="2"'), "leaves the 100x80"),
        (shape("mask", 'rle="0,4" left="0.5" top="0" width="2" height="2"'), "not a whole number"),
        (shape("mask", 'rle="0" left="0" top="0" width="99999" height="99999"'), "99999x99999"),
        (shape("box", CORNERS, " "), "it has no label"),
        (shape("blob", CORNERS), "<blob> is no shape"),
    ],
)
def test_a_damaged_shape_is_named(tmp_path: Path, bad: str, words: str) -> None:
    result = one(tmp_path, shape("box", CORNERS), bad)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert "is lost" in finding.message
    assert (finding.path, finding.line) == (tmp_path / "annotations.xml", 10)
    assert result.report.lost == {"objects-unreadable": 1}
    only(result)


def test_a_label_that_is_not_declared_is_kept_and_said_once(tmp_path: Path) -> None:
    result = one(tmp_path, *[shape("box", CORNERS, "bird")] * 3)
    assert result.dataset.names == ["dog", "cat", "bird"]
    assert result.report.count("cvat.undeclared-label") == 1


def test_labels_that_never_have_an_area_are_no_classes(tmp_path: Path) -> None:
    labels = (
        "<label><name>scene</name><type>tag</type></label>"
        "<label><name>nose</name><type>points</type><parent>body</parent></label>"
        "<label><name>body</name><type>skeleton</type></label>"
        "<label><name>cat</name><type>rectangle</type></label>"
    )
    assert one(tmp_path, shape("box", CORNERS), labels=labels).dataset.names == ["cat"]


@pytest.mark.parametrize(
    ("file", "meta", "more", "split"),
    [
        ("annotations.xml", "", 'subset="Validation"', "val"),
        ("train.xml", "", 'subset="Test"', "test"),
        ("annotations.xml", "<subset>Train</subset>", "", "train"),
        ("val_labels.xml", "<subset>default</subset>", "", "val"),
        ("annotations.xml", "<subset>batch 7</subset>", "", None),
    ],
)
def test_splits(tmp_path: Path, file: str, meta: str, more: str, split: str | None) -> None:
    image(tmp_path / "images/a.jpg")
    cvat(tmp_path / file, picture("a.jpg", shape("box", CORNERS), more=more), more=meta)
    result = read(tmp_path)
    (sample,) = result.dataset.samples
    assert sample.split == split
    assert result.report.count("split.unknown") == ("batch" in meta)


def test_images_of_the_same_name_in_two_subsets(tmp_path: Path) -> None:
    names = ["Train", "Test"]
    for name in names:
        image(tmp_path / f"images/{name}/a.jpg")
    tasks = "".join(
        f"<task><id>{k}</id><subset>{name}</subset></task>" for k, name in enumerate(names)
    )
    pictures = [
        picture("a.jpg", *[shape("box", CORNERS)] * k, more=f'subset="{name}" task_id="{k}"')
        for k, name in enumerate(names)
    ]
    meta = f"<tasks>{tasks}</tasks>"
    cvat(tmp_path / "annotations.xml", *pictures, owner="project", more=meta)
    samples = read(tmp_path).dataset.samples
    assert [(s.image.parent.name, len(s.instances), s.split) for s in samples] == [
        ("Train", 0, "train"),
        ("Test", 1, "test"),
    ]


def test_images_in_sub_folders(tmp_path: Path) -> None:
    for name in ("x/a.jpg", "y/a.jpg"):
        image(tmp_path / "images" / name)
    cvat(tmp_path / "a.xml", picture("x/a.jpg", shape("box", CORNERS)), picture("y/a.jpg"))
    result = read(tmp_path)
    assert [len(s.instances) for s in result.dataset.samples] == [1, 0]
    assert not result.report.findings


def test_frames_of_a_video_exported_as_images(tmp_path: Path) -> None:
    """CVAT leaves the ending of their names out."""
    for subset in ("Train", "Test"):
        image(tmp_path / f"images/{subset}/frame_000001.PNG")
    more = 'subset="Test" width="100" height="80"'
    cvat(tmp_path / "a.xml", picture("frame_000001", shape("box", CORNERS), more=more))
    result = read(tmp_path)
    assert result.dataset.samples[0].image.parent.name == "Test"
    assert not list(result.report.of("warning"))


def test_an_image_that_is_absent_and_one_that_is_not_listed(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    image(tmp_path / "z.jpg")
    cvat(
        tmp_path / "a.xml",
        picture("a.jpg", shape("box", CORNERS)),
        picture("../../b.jpg", shape("box", CORNERS), shape("tag", "")),
    )
    result = read(tmp_path)
    only(result)
    assert result.report.count("image.missing") == 1
    # CVAT lists every image of a task, so that the last one is of another
    losses = ["images", "objects-without-image", "images-not-listed"]
    assert result.report.lost == dict.fromkeys(losses, 1)


def test_a_job(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    cvat(tmp_path / "a.xml", picture("a.jpg"), owner="job", more="<subset>train</subset>")
    result = read(tmp_path)
    assert (result.dataset.names, result.dataset.samples[0].split) == (["dog", "cat"], "train")


def test_coordinates_follow_the_size_that_the_file_declares(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    runs = 'rle="0,4" left="20" top="40" width="2" height="2"'
    shapes = [shape("box", 'xtl="20" ytl="40" xbr="60" ybr="80"'), shape("mask", runs)]
    cvat(tmp_path / "a.xml", picture("a.jpg", *shapes, more='width="200" height="160"'))
    result = read(tmp_path)
    box, mask = result.dataset.instances()
    assert box.box == Box(10, 20, 30, 40)
    assert isinstance(mask.mask, RleMask)
    assert mask.mask.size == (100, 80)
    assert rle_to_bitmap(mask.mask)[20, 10] == 1
    assert result.report.changed == {"objects-scaled-to-image": 2}


def test_voc_and_cvat_do_not_claim_each_other(tmp_path: Path) -> None:
    image(tmp_path / "voc/a.jpg")
    voc(tmp_path / "voc/a.xml", "a.jpg", voc_object("cat", 1, 2, 3, 4))
    image(tmp_path / "cvat/images/b.jpg")
    comment = "<!-- <annotation> made by hand -->"
    made = cvat(tmp_path / "cvat/b.xml", picture("b.jpg"))
    text(made, comment + made.read_text())
    assert read(tmp_path / "voc").format == "voc"
    assert read(tmp_path / "cvat", "cvat").format == "cvat"
    with pytest.raises(DataError, match="no CVAT annotations"):
        read(tmp_path / "voc", "cvat")


def test_a_file_named_by_the_user(tmp_path: Path) -> None:
    image(tmp_path / "images/val/a.jpg")
    path = cvat(tmp_path / "cvat/val.xml", picture("a.jpg", shape("box", CORNERS)))
    result = read(path)
    assert only(result).category == 1
    assert result.dataset.samples[0].split == "val"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda s: s[: len(s) // 2], "broken XML"),
        (lambda s: s.replace("</image>", "</picture>"), "mismatched tag"),
        (lambda s: '<!DOCTYPE a [<!ENTITY x "y">]>' + s, "declares entities"),
        (lambda s: '<?xml version="1.0" encoding="klingon"?>' + s, "broken XML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, damage: object, words: str) -> None:
    image(tmp_path / "a.jpg")
    path = cvat(tmp_path / "a.xml", picture("a.jpg", shape("box", CORNERS)))
    text(path, damage(path.read_text()))  # type: ignore[operator]
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, "cvat")
    assert caught.value.path == path


def test_real_boxes(shared: Path) -> None:
    result = read(shared / "data/cvat_ls_pexels", "cvat")
    assert len(result.dataset) == 13
    assert result.dataset.objects_per_class() == {"Cat": 18, "Cats": 5}
    # one of the 14 images in the file is absent, and with it one of the 19 boxes of Cat
    assert result.report.lost == {"images": 1, "objects-without-image": 1}
    (finding,) = result.report.findings
    assert finding.code == "image.missing"
    assert "pexels-fox-58267-762986.jpg" in finding.message


def test_a_project_of_three_subsets(shared: Path) -> None:
    folder = shared / "data/tiny_datumaro_assets/assets/cvat_dataset/for_images/export_project"
    result = read(folder)
    assert result.dataset.objects_per_class() == {"label1": 6, "label2": 0}
    assert [s.split for s in result.dataset.samples] == [
        *("test", "test", "train", "train", "val", "val")
    ]
    assert result.report.lost == {"shapes-polyline": 3, "shapes-points": 3}
    boxed, outlined, *_ = result.dataset.instances()
    assert boxed.box == Box(0, 2, 4, 4)
    flags = {"occluded": True, "z_order": 1}
    assert dict(boxed.attributes) == {**flags, "a1": True, "a2": "v3", "a3": "0003", "a4": 2.4}
    assert outlined.mask == PolygonMask((np.asarray([[1.0, 2], [3, 4], [6, 5]]),))


def test_a_task_with_a_shape_without_label(shared: Path) -> None:
    folder = shared / "data/tiny_datumaro_assets/assets/cvat_dataset/for_images/export_task"
    result = read(folder)
    assert result.dataset.objects_per_class() == {"label1": 1, "label2": 0}
    assert {s.split for s in result.dataset.samples} == {"train"}
    (finding,) = result.report.of("error")
    assert (finding.message, finding.line) == ("the polygon is lost: it has no label", 53)
