"""What tools other than Ultralytics, and its other tasks, make of YOLO's text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask
from tests.formats.makers import image, read, text

ROW = "1 0.5 0.5 0.2 0.25\n"
BOX = (40, 30, 60, 50)


def labelled(folder: Path, name: str = "a", rows: str = ROW) -> None:
    image(folder / f"images/{name}.jpg")
    text(folder / f"labels/{name}.txt", rows)


@pytest.mark.parametrize(
    "row", ["\ufeff1 0.5 0.5 0.2 0.25", "1\t0.5\t0.5\t0.2\t0.25", " 1.0  .5 5e-1 +0.2 0.25 \r\n"]
)
def test_spellings_of_a_row(tmp_path: Path, row: str) -> None:
    labelled(tmp_path, rows=row)
    text(tmp_path / "classes.txt", "cat\ndog\n")
    result = read(tmp_path)
    (item,) = result.dataset.instances()
    assert (tuple(item.box), item.category) == (pytest.approx(BOX), 1)
    assert not result.report.findings


def test_four_corners_are_a_turned_box(tmp_path: Path) -> None:
    labelled(tmp_path, rows="0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n")
    (item,) = read(tmp_path).dataset.instances()
    assert isinstance(item.mask, PolygonMask)
    assert item.mask.parts[0].tolist() == [[50, 20], [75, 40], [50, 60], [25, 40]]


@pytest.mark.parametrize(("numbers", "seen"), [(2, ""), (3, " 2")])
def test_key_points_are_kept_beside_the_box(tmp_path: Path, numbers: int, seen: str) -> None:
    labelled(tmp_path, rows=f"{ROW.strip()} 0.5 0.25{seen} 0.1 1{seen}\n")
    text(tmp_path / "data.yaml", f"names: [cat, dog]\ntrain: images\nkpt_shape: [2, {numbers}]\n")
    result = read(tmp_path)
    (item,) = result.dataset.instances()
    assert (tuple(item.box), item.mask) == (pytest.approx(BOX), None)
    rest = [2.0] if seen else []
    assert dict(item.attributes) == {"keypoints": [[50, 20, *rest], [10, 80, *rest]]}
    assert result.report.changed == {"keypoints-kept-as-attributes": 1}


def test_key_points_that_nothing_declares_are_no_outline(tmp_path: Path) -> None:
    labelled(tmp_path, rows=f"{ROW.strip()} 0.5 0.25 2\n{ROW}")
    (finding,) = read(tmp_path).report.of("error")
    assert "data.yaml must have kpt_shape" in finding.message


def test_confidences_are_kept_and_said_to_be_predictions(tmp_path: Path) -> None:
    labelled(tmp_path, rows="0 0.5 0.5 0.2 0.25 0.75\n0 0 0 0.5 0 0.5 1 0.5\n")
    result = read(tmp_path)
    box, outline = result.dataset.instances()
    assert dict(box.attributes) == {"score": 0.75}
    assert dict(outline.attributes) == {"score": 0.5}
    assert isinstance(outline.mask, PolygonMask)
    assert outline.mask.parts[0].tolist() == [[0, 0], [50, 0], [50, 80]]
    assert result.report.count("yolo.confidence") == 1


def test_one_odd_row_among_others_is_damage(tmp_path: Path) -> None:
    labelled(tmp_path, rows="0 0 0 0.5 0 0.5 1\n0 0 0 0.5 0 0.5 1 0.5\n")
    result = read(tmp_path)
    assert len(list(result.dataset.instances())) == 1
    assert result.report.count("yolo.bad-row") == 1


def test_rows_of_dota_are_pixels_and_names(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    heads = "imagesource:GoogleEarth\ngsd:0.146\n"
    rows = "10 10 30.5 10 30.5 40 10 40 ship 0\n50 20 60 20 60 30 50 30 large-vehicle 1\n"
    text(tmp_path / "labelTxt/a.txt", heads + rows)
    result = read(tmp_path)
    ship, vehicle = result.dataset.instances()
    assert result.dataset.names == ["ship", "large-vehicle"]
    assert ship.box == Box(10, 10, 30.5, 40)
    assert dict(vehicle.attributes) == {"difficult": True}
    assert not result.report.findings


def test_each_label_follows_the_class_list_above_it(tmp_path: Path) -> None:
    """LabelImg writes a list into every folder, in the order in which classes were first used."""
    for folder, names in (("one", "cat\ndog\n"), ("two", "dog\nbird\ncat\n")):
        labelled(tmp_path / folder, folder)
        text(tmp_path / folder / "labels/classes.txt", names)
    result = read(tmp_path)
    assert result.dataset.names == ["cat", "dog", "bird"]
    assert result.dataset.objects_per_class() == {"cat": 0, "dog": 1, "bird": 1}
    assert result.report.count("yolo.classes-differ") == 1
    assert result.report.changed == {"class-lists-united-by-name": 2}


def test_lists_that_say_the_same_are_one(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        labelled(tmp_path / folder, folder)
        text(tmp_path / folder / "classes.txt", "cat\ndog\n")
    result = read(tmp_path)
    assert result.dataset.names == ["cat", "dog"]
    assert not result.report.findings


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        (("names/a/classes.txt", "names/b/classes.txt"), "several class lists differ"),
        (("classes.txt", "obj.names"), "several class lists in one folder differ"),
    ],
)
def test_lists_between_which_nothing_decides(
    tmp_path: Path, lists: tuple[str, str], words: str
) -> None:
    labelled(tmp_path)
    for name, content in zip(lists, ("cat\ndog\n", "dog\ncat\n"), strict=True):
        text(tmp_path / name, content)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    assert all(Path(name).name in caught.value.message for name in lists)
    assert caught.value.hint


def test_data_yaml_is_followed_and_other_lists_named(tmp_path: Path) -> None:
    labelled(tmp_path)
    text(tmp_path / "data.yaml", "names: [cat, dog]\ntrain: images\nnc: 3\n")
    other = text(tmp_path / "labels/classes.txt", "person\nlaptop\n")
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 0, "dog": 1}
    assert {(f.code, f.path) for f in result.report.findings} == {
        ("yolo.classes-differ", other),
        ("yolo.class-count", tmp_path / "data.yaml"),
    }


def test_data_sets_side_by_side_with_a_data_yaml_each(tmp_path: Path) -> None:
    for folder, names in (("one", "[cat, dog]"), ("two", "[bird, cat]")):
        labelled(tmp_path / folder, folder)
        text(tmp_path / folder / "data.yaml", f"train: images\nnames: {names}\n")
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 1, "dog": 1, "bird": 0}
    assert [s.split for s in result.dataset.samples] == ["train", "train"]


def test_lists_of_darknet_are_those_of_obj_data(tmp_path: Path) -> None:
    for name in "abc":
        image(tmp_path / f"obj/{name}.jpg")
        text(tmp_path / f"obj/{name}.txt", ROW)
    text(tmp_path / "my.names", "cat\ndog\n")
    text(tmp_path / "obj.data", "classes = 2\ntrain = data/learn.txt\nvalid = data/judge.txt\n")
    text(tmp_path / "learn.txt", "/content/darknet/data/obj/a.jpg\n")
    text(tmp_path / "judge.txt", "C:\\data\\obj\\b.jpg\ndata/obj/a.jpg\ndata/obj/gone.jpg\n")
    result = read(tmp_path)
    splits = {s.image.stem: s.split for s in result.dataset.samples}
    assert splits == {"a": "train", "b": "val", "c": None}
    found = {(f.code, f.line) for f in result.report.findings}
    assert found == {("split.overlap", 2), ("yolo.list-missing", 3)}
    assert result.report.lost == {"list-entries-without-image": 1}


@pytest.mark.parametrize("row", ["99999999999 0.5 0.5 0.1 0.1", "1e300 0.5 0.5 0.1 0.1"])
def test_a_class_number_cannot_fill_the_memory(tmp_path: Path, row: str) -> None:
    labelled(tmp_path, rows=f"{ROW}{row}\n")
    result = read(tmp_path)
    assert result.dataset.names == ["class_0", "class_1"]
    assert "is not a class number" in next(result.report.of("error")).message


def test_a_number_of_classes_cannot_fill_the_memory(tmp_path: Path) -> None:
    labelled(tmp_path)
    text(tmp_path / "data.yaml", "train: images\nnc: 999999999999\n")
    with pytest.raises(DataError, match="`names` is neither"):
        read(tmp_path)
