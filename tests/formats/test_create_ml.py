from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box
from tests.formats.makers import document, image, read, text

BOX = {"x": 30, "y": 40, "width": 20, "height": 10}


def one(label: Any = "cat", **changes: Any) -> dict[str, Any]:
    return {"label": label, "coordinates": {**BOX, **changes}}


def record(name: str, *annotations: Any) -> dict[str, Any]:
    return {"image": name, "annotations": list(annotations)}


def folder(root: Path, *records: Any, name: str = "_annotations.createml.json") -> Path:
    image(root / "a.jpg")
    document(root / name, list(records))
    return root


def test_boxes_are_given_by_their_centres(tmp_path: Path) -> None:
    result = read(folder(tmp_path, record("a.jpg", one(), one("dog", x=31))))
    cat, dog = result.dataset.instances()
    assert result.format == "createml"
    assert result.dataset.names == ["cat", "dog"]
    assert (cat.box, dog.box) == (Box(20, 35, 40, 45), Box(21, 35, 41, 45))


def test_the_keys_that_apple_documents(tmp_path: Path) -> None:
    made = {"imagefilename": "a.jpg", "annotation": [one()]}
    result = read(folder(tmp_path, made, name="annotations.json"))
    assert [i.box for i in result.dataset.instances()] == [Box(20, 35, 40, 45)]


def test_other_keys_are_attributes(tmp_path: Path) -> None:
    result = read(folder(tmp_path, record("a.jpg", {**one(), "confidence": 0.5, "note": None})))
    (item,) = result.dataset.instances()
    assert dict(item.attributes) == {"confidence": 0.5}


def test_folders_are_splits_and_unlisted_images_are_counted(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        folder(tmp_path / split, record("a.jpg", one()))
    image(tmp_path / "train/z.jpg")
    result = read(tmp_path)
    assert [s.split for s in result.dataset.samples] == ["test", "train", "val"]
    assert result.report.lost == {"images-not-listed": 1}


def test_an_image_without_objects_is_kept(tmp_path: Path) -> None:
    result = read(folder(tmp_path, {"image": "a.jpg", "annotations": []}, name="labels.json"))
    assert result.format == "createml"
    assert [len(s.instances) for s in result.dataset.samples] == [0]


def test_fractions_are_recognised_and_said(tmp_path: Path) -> None:
    made = record("a.jpg", one(x=0.5, y=0.5, width=0.2, height=0.5))
    result = read(folder(tmp_path, made))
    (item,) = result.dataset.instances()
    assert item.box == pytest.approx((40, 20, 60, 60))
    assert result.report.changed == {"objects-given-as-fractions": 1}
    assert result.report.count("createml.fractions") == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (one(x=None), "annotation 2 of 'a.jpg' is lost: None is not a finite number"),
        (one(x=float("nan")), "nan is not a finite number"),
        (one(" "), "its label is empty"),
        ({"label": "cat"}, "it has no 'coordinates'"),
        ({"coordinates": BOX}, "it has no 'label'"),
        ({"label": "cat", "coordinates": {"x": 1}}, "it has no 'y'"),
        ("cat", "annotation 2"),
    ],
)
def test_a_damaged_annotation_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    result = read(folder(tmp_path, record("a.jpg", one(), bad)))
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert result.report.lost["objects-unreadable"] == 1
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize(
    "bad", [{"annotations": []}, {"image": 3, "annotations": []}, record("a.jpg", one()), "a"]
)
def test_a_damaged_record_leaves_the_others(tmp_path: Path, bad: Any) -> None:
    damaged = {**bad, "annotations": "none"} if bad == record("a.jpg", one()) else bad
    result = read(folder(tmp_path, record("a.jpg", one()), damaged))
    (finding,) = result.report.of("error")
    assert finding.message.startswith("record 2 is lost")
    assert len(list(result.dataset.instances())) == 1


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    path = text(tmp_path / "_annotations.createml.json", '[{"image": "a.jpg", "annotations": [')
    with pytest.raises(DataError, match="broken JSON") as caught:
        read(tmp_path)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "other",
    [
        '[{"id": 1, "annotations": [{"result": []}], "data": {"image": "a.jpg"}}]',
        '{"shapes": [], "coordinates": {}}',
    ],
)
def test_files_of_others_are_left_alone(tmp_path: Path, other: str) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.json", other)
    with pytest.raises(DataError, match="none with a list of images"):
        read(tmp_path, "createml")


def test_number_plates_lie_in_their_images(shared: Path) -> None:
    """A corner taken for the centre would not."""
    result = read(shared / "data/createml_anpr")
    for sample in result.dataset.samples:
        for item in sample.instances:
            assert item.box.clipped(sample.size) == pytest.approx(item.box, abs=1)
