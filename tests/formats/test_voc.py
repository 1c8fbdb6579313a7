from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask, Size
from tests.formats.makers import image, read, text, voc, voc_object

CAT = voc_object("cat", 10, 20, 30, 40)


def test_boxes_are_taken_as_they_stand(tmp_path: Path) -> None:
    image(tmp_path / "JPEGImages/a.jpg")
    voc(tmp_path / "Annotations/a.xml", "a.jpg", voc_object("dog", "1.5", 2, 30, 40), CAT)
    result = read(tmp_path)
    (sample,) = result.dataset.samples
    assert result.format == "voc"
    assert result.dataset.names == ["cat", "dog"]  # no order is declared, so alphabetical
    assert [i.box for i in sample.instances] == [Box(1.5, 2, 30, 40), Box(10, 20, 30, 40)]
    assert sample.size == Size(100, 80)
    assert sample.annotation == tmp_path / "Annotations/a.xml"
    assert result.report.read == {
        "annotation-files": 1,
        "images": 1,
        "objects": 2,
        "images-without-objects": 0,
    }


def test_flags_and_attributes_are_kept(tmp_path: Path) -> None:
    extra = (
        "<difficult>1</difficult><truncated>0</truncated><pose>Left</pose><attributes>"
        "<attribute><name>colour</name><value>red</value></attribute></attributes>"
    )
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", voc_object("cat", 1, 2, 3, 4, extra=extra))
    (item,) = read(tmp_path).dataset.instances()
    assert dict(item.attributes) == {"difficult": True, "pose": "Left", "colour": "red"}


def test_an_outline_beside_the_box_is_a_mask(tmp_path: Path) -> None:
    corners = "".join(
        f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate([(1, 1), (9, 1), (5, 9)], 1)
    )
    image(tmp_path / "a.jpg")
    item = voc_object("cat", 1, 1, 9, 9, extra=f"<polygon>{corners}</polygon>")
    voc(tmp_path / "a.xml", "a.jpg", item)
    (found,) = read(tmp_path).dataset.instances()
    assert isinstance(found.mask, PolygonMask)
    assert found.mask.parts[0].tolist() == [[1, 1], [9, 1], [5, 9]]


def test_official_splits_are_honoured(tmp_path: Path) -> None:
    for name in "abcdef":
        image(tmp_path / f"JPEGImages/{name}.jpg")
    for name in "abcd":
        voc(tmp_path / f"Annotations/{name}.xml", f"{name}.jpg", CAT)
    lists = tmp_path / "ImageSets/Main"
    text(lists / "train.txt", "a\n\nb\n")
    text(lists / "val.txt", "c\na\n")
    text(lists / "trainval.txt", "a\nb\nc\n")
    text(lists / "test.txt", "d\ne\n")
    text(lists / "cat_train.txt", "a  1\nb -1\n")
    result = read(tmp_path)
    splits = {s.image.stem: s.split for s in result.dataset.samples}
    # e is listed without objects: a background image; f is neither listed nor annotated
    assert splits == {"a": "train", "b": "train", "c": "val", "d": "test", "e": "test"}
    assert result.report.lost["images-not-listed"] == 1
    (overlap,) = (f for f in result.report.findings if f.code == "split.overlap")
    assert (overlap.path, overlap.line) == (lists / "val.txt", 2)


def test_folders_named_after_splits_are_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        image(tmp_path / split / f"{split}.jpg")
        voc(tmp_path / split / f"{split}.xml", f"{split}.jpg", CAT)
    splits = [s.split for s in read(tmp_path).dataset.samples]
    assert sorted(splits, key=str) == ["test", "train", "val"]


def test_the_order_of_a_labelmap_is_kept(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT, voc_object("ant", 1, 1, 2, 2))
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:1,1,1::\ncat:2,2,2::\n"
    text(tmp_path / "labelmap.txt", lines)
    assert read(tmp_path).dataset.names == ["dog", "cat", "ant"]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (voc_object("cat", 1, "two", 3, 4), "<ymin> is 'two', not a number"),
        (voc_object("cat", "nan", 2, 3, 4), "<xmin> is 'nan'"),
        (voc_object("", 1, 2, 3, 4), "no <name>"),
        ("<object><name>cat</name></object>", "no <bndbox>"),
    ],
)
def test_a_damaged_object_is_named_with_its_line(tmp_path: Path, item: str, words: str) -> None:
    image(tmp_path / "a.jpg")
    path = voc(tmp_path / "a.xml", "a.jpg", CAT, item, CAT)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (path, 6)
    assert result.report.lost["objects-unreadable"] == 1
    assert len(list(result.dataset.instances())) == 2


def test_broken_xml_is_refused_with_its_line(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.xml", "<annotation>\n<filename>a.jpg</filename>\n<object>\n</annotation>\n")
    with pytest.raises(DataError, match="broken XML: mismatched tag") as caught:
        read(tmp_path)
    assert (caught.value.path, caught.value.line) == (tmp_path / "a.xml", 4)
    assert caught.value.hint


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><annotation>&y;</annotation>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    ],
)
def test_entities_are_refused(tmp_path: Path, bomb: str) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.xml", bomb)
    with pytest.raises(DataError, match="refused: the XML declares entities"):
        read(tmp_path)


def test_a_missing_image_is_an_error_and_its_objects_are_counted(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    voc(tmp_path / "gone.xml", "gone.jpg", CAT, CAT)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert finding.code == "image.missing"
    assert finding.path == tmp_path / "gone.xml"
    assert finding.message == "image 'gone.jpg' is missing; its 2 objects are lost"
    assert result.report.lost == {"images": 1, "objects-without-image": 2}


@pytest.mark.parametrize(
    ("objects", "fate"), [((), "there is no object on it"), ((CAT,), "its 1 object is lost")]
)
def test_few_objects_are_counted_as_people_do(
    tmp_path: Path, objects: tuple[str, ...], fate: str
) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    voc(tmp_path / "gone.xml", "gone.jpg", *objects)
    (finding,) = read(tmp_path).report.of("error")
    assert finding.message.endswith(f"; {fate}")


def test_an_image_whose_objects_are_all_lost_is_no_background(tmp_path: Path) -> None:
    bad = voc_object("cat", "x", 20, 30, 40)
    for name, objects in (("a", (CAT, bad)), ("b", (bad,)), ("c", ())):
        image(tmp_path / f"{name}.jpg")
        voc(tmp_path / f"{name}.xml", f"{name}.jpg", *objects)
    result = read(tmp_path)
    assert [s.image.name for s in result.dataset.samples] == ["a.jpg", "c.jpg"]
    assert result.report.lost == {"objects-unreadable": 2, "images": 1}
    *_, last = result.report.of("error")
    assert (last.code, last.path) == ("annotation.unreadable", tmp_path / "b.xml")
    assert "b.jpg is left out, not taken for background" in last.message


def test_an_image_without_xml_is_a_background_image(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    image(tmp_path / "empty.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    result = read(tmp_path)
    assert [(s.image.name, len(s.instances)) for s in result.dataset.samples] == [
        ("a.jpg", 1),
        ("empty.jpg", 0),
    ]
    assert result.report.read["images-without-objects"] == 1


def test_an_unreadable_image_is_an_error(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", CAT)
    text(tmp_path / "bad.jpg", "no pixels")
    voc(tmp_path / "bad.xml", "bad.jpg", CAT)
    result = read(tmp_path)
    assert [f.code for f in result.report.of("error")] == ["image.unreadable"]
    assert result.report.lost == {"images": 1, "objects-without-image": 1}


def test_an_xml_saved_under_another_name_still_finds_its_image(tmp_path: Path) -> None:
    image(tmp_path / "Photo 1.JPG")
    image(tmp_path / "Kiwi.png")
    voc(tmp_path / "photo 1.xml", "photo 1.jpg", CAT)  # case
    voc(tmp_path / "Kiwi_0.xml", "Kiwi_0.jpg", CAT)  # CVAT numbers frames
    result = read(tmp_path)
    assert {s.image.name: s.annotation.name for s in result.dataset.samples if s.annotation} == {
        "Photo 1.JPG": "photo 1.xml",
        "Kiwi.png": "Kiwi_0.xml",
    }
    assert result.report.changed == {
        "images-matched-by-case": 1,
        "images-matched-by-number": 1,
    }


def test_what_fits_two_images_is_not_guessed(tmp_path: Path) -> None:
    image(tmp_path / "one/a.jpg")
    image(tmp_path / "two/a.jpg")
    voc(tmp_path / "xml/a.xml", "a.jpg", CAT)
    image(tmp_path / "three/b.jpg")
    voc(tmp_path / "xml/b.xml", "b.jpg", CAT)
    result = read(tmp_path)
    assert [f.code for f in result.report.of("error")] == ["image.ambiguous"]
    assert result.report.lost["images"] == 1
    assert [s.image.name for s in result.dataset.samples] == ["b.jpg"]  # and no background
    assert result.report.lost["images-not-annotated"] == 2


def test_a_class_that_goes_with_its_image_goes(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    voc(tmp_path / "a.xml", "a.jpg", voc_object("cat", 1, 2, 30, 40))
    voc(tmp_path / "b.xml", "b.jpg", voc_object("dog", 1, 2, 30, 40))
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 1}
    assert result.report.lost == {"images": 1, "objects-without-image": 1}
