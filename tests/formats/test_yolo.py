from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, PolygonMask
from tests.formats.makers import image, read, text

ROW = "1 0.5 0.5 0.2 0.25\n"


def box_of(path: Path) -> Box:
    (item,) = read(path).dataset.instances()
    return item.box


def test_rows_are_fractions_of_the_image(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.txt", ROW + "0 0 0 0.5 0 0.5 1\n1 0.5 0.5 1 1 0.875\n")
    text(tmp_path / "classes.txt", "cat\ndog\n")
    result = read(tmp_path)
    box, outline, predicted = result.dataset.instances()
    assert result.dataset.names == ["cat", "dog"]
    assert box.box == pytest.approx((40, 30, 60, 50))
    assert (box.category, box.mask) == (1, None)
    assert isinstance(outline.mask, PolygonMask)
    assert outline.mask.parts[0].tolist() == [[0, 0], [50, 0], [50, 80]]
    assert outline.box == Box(0, 0, 50, 80)
    assert predicted.attributes == {"score": 0.875}


@pytest.mark.parametrize(
    ("yaml", "folder"),
    [
        ("path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n", "images/{}"),
        ("path: /other/set\ntrain: images/train\nval: [images/val]\nnames:\n 0: cat\n 1: dog\n",
         "images/{}"),
        ("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n",
         "{}/images"),
        ("train: train.txt\nval: val.txt\nnames: {1: dog, 0: cat}\n", "all/images"),
    ],
)  # fmt: skip
def test_layouts_of_data_yaml(tmp_path: Path, yaml: str, folder: str) -> None:
    for split in ("train", "val"):
        name = "valid" if "valid" in yaml and split == "val" else split
        place = folder.format(name)
        image(tmp_path / place / f"{split}.jpg")
        text(tmp_path / place.replace("images", "labels") / f"{split}.txt", ROW)
        if "train.txt" in yaml:
            text(tmp_path / f"{split}.txt", f"./{place}/{split}.jpg\n")
    text(tmp_path / "data.yaml", yaml)
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 0, "dog": 2}
    assert {s.image.stem: s.split for s in result.dataset.samples} == {
        "train": "train",
        "val": "val",
    }
    assert not list(result.report.of("error"))
    assert read(tmp_path / "data.yaml").dataset == result.dataset


def test_a_data_yaml_may_hold_names_only(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "labels/a.txt", ROW)
    text(tmp_path / "data.yaml", "names: [cat, dog]\n")
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 0, "dog": 1}
    assert not result.report.findings


def test_darknet_layout(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"obj_train_data/{name}.jpg")
        text(tmp_path / f"obj_train_data/{name}.txt", ROW)
    text(tmp_path / "obj.names", "cat\ndog\n")
    text(tmp_path / "obj.data", "classes = 2\n")
    text(tmp_path / "train.txt", "data/obj_train_data/a.jpg\n")
    text(tmp_path / "test.txt", "data/obj_train_data/b.jpg\n")
    result = read(tmp_path)
    assert [s.split for s in result.dataset.samples] == ["train", "test"]
    assert result.dataset.names == ["cat", "dog"]


def test_labels_are_found_in_any_folder_by_their_only_name(tmp_path: Path) -> None:
    image(tmp_path / "Pictures/a.jpg")
    text(tmp_path / "Annotations/a.txt", ROW)
    assert box_of(tmp_path) == pytest.approx((40, 30, 60, 50))


def test_an_image_without_a_label_file_and_an_empty_one(tmp_path: Path) -> None:
    for name in ("a", "empty", "none"):
        image(tmp_path / f"images/{name}.jpg")
    text(tmp_path / "labels/a.txt", ROW)
    text(tmp_path / "labels/empty.txt", "\n")
    result = read(tmp_path)
    assert [len(s.instances) for s in result.dataset.samples] == [1, 0, 0]
    assert result.report.read["images-without-objects"] == 2


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.txt", "2 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n")
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"class_0": 1, "class_1": 0, "class_2": 1}
    assert result.report.count("yolo.no-names") == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1 0.5 0.5 0.2", "3 numbers after the class"),
        ("1 0.5 0.5 0.2 0.2 0.2 0.2 0.2", "7 numbers after the class"),
        ("dog 0.5 0.5 0.2 0.2", "'dog' is not a number"),
        ("1 0.5 0,5 0.2 0.2", "'0,5' is not a number"),
        ("1.5 0.5 0.5 0.2 0.2", "'1.5' is not a class number"),
        ("-1 0.5 0.5 0.2 0.2", "'-1' is not a class number"),
        ("inf 0.5 0.5 0.2 0.2", "'inf' is not a class number"),
        ("2 0.5 0.5 0.2 0.2", "class 2 is not declared; the last one is 1"),
        ("1 0.5 nan 0.2 0.2", "not finite"),
        ("1 320 240 64 64", "320 is not a fraction"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, words: str) -> None:
    image(tmp_path / "images/a.jpg")
    path = text(tmp_path / "labels/a.txt", f"{ROW}\n{row}\n{ROW}")
    text(tmp_path / "classes.txt", "cat\ndog\n")
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (path, 3)
    assert finding.code == ("class.unknown" if "declared" in words else "yolo.bad-row")
    assert result.report.lost["objects-unreadable"] == 1
    assert len(list(result.dataset.instances())) == 2


def test_a_label_without_an_image_is_an_error(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "labels/a.txt", ROW)
    text(tmp_path / "labels/gone.txt", ROW * 3)
    result = read(tmp_path)
    (finding,) = result.report.of("error")
    assert finding.code == "image.missing"
    assert result.report.lost == {"images": 1, "objects-without-image": 3}


@pytest.mark.parametrize(
    ("yaml", "words", "line"),
    [
        ("train: images\nnames: [a, 'b\n", "broken YAML", 3),
        ("train: images\nnames: 7\n", "`names` is neither a list", None),
        ("train: images\nnames: {0: a, 2: b}\n", "without a gap", None),
        ("train: images\nnames: [a, b, a]\n", "'a' is declared twice", None),
    ],
)
def test_a_data_yaml_that_cannot_be_used(
    tmp_path: Path, yaml: str, words: str, line: int | None
) -> None:
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "labels/a.txt", ROW)
    path = text(tmp_path / "data.yaml", yaml)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    assert caught.value.path == path
    assert line is None or caught.value.line == line


def test_numbers_without_names_are_counted(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "labels/a.txt", ROW)
    text(tmp_path / "data.yaml", "train: images\nnc: 2\n")
    assert read(tmp_path).dataset.names == ["class_0", "class_1"]


def test_a_split_that_does_not_exist_is_said(tmp_path: Path) -> None:
    image(tmp_path / "train/images/a.jpg")
    text(tmp_path / "train/labels/a.txt", ROW)
    text(tmp_path / "data.yaml", "train: train/images\nval: nowhere/images\nnames: [a, b]\n")
    result = read(tmp_path)
    assert result.report.count("yolo.split-missing") == 1
    assert [s.split for s in result.dataset.samples] == ["train"]


def test_other_text_files_are_no_labels(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.txt", "a photo of a cat\n")  # a caption beside its image
    text(tmp_path / "README.txt", "1 2 3 4 5 6 go\n")
    text(tmp_path / "kitti.txt", "Car 0.00 0 1.85 387.63 181.54 423.81 203.12\n")
    with pytest.raises(DataError, match="no annotations found beside 1 image: "):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: &a [1, 1]\nb: &b [*a, *a]\nnames: [*b, *b]\ntrain: x\n", "references"),
        (f"names: {'[' * 5000}\ntrain: x\n", "broken YAML"),
        ("names: [cat]\ntrain: x\ndate: 2024-99-99\n", "broken YAML"),
    ],
)
def test_data_yaml_that_is_made_to_hurt(tmp_path: Path, content: str, words: str) -> None:
    image(tmp_path / "a.jpg")
    text(tmp_path / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    path = text(tmp_path / "data.yaml", content)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, "yolo")
    assert caught.value.path == path


@pytest.mark.parametrize(
    "entry",
    ["/dev/zero", "../outside.txt", "x" * 3000, "\\0", "../../../../../dev/zero", "/", ".."],
)
def test_data_yaml_leads_nowhere_outside_its_folder(tmp_path: Path, entry: str) -> None:
    text(tmp_path / "outside.txt", "set/a.jpg\n")
    image(tmp_path / "set/a.jpg")
    text(tmp_path / "set/a.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "set/data.yaml", f'names: [cat]\ntrain: "{entry}"\n')
    result = read(tmp_path / "set", "yolo")
    assert [s.split for s in result.dataset.samples] == [None]
    assert result.report.count("yolo.split-missing") == 1
