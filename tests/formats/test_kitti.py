from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.geometry import Box
from tests.formats.makers import image, read, text

CAR = "Car 0.10 2 -1.57 10 20 30.5 40 1.5 1.6 3.9 -1.2 1.4 20.5 -1.6"
FLAT = "Van 0.0 0 0 10 20 30 40 0 0 0 0 0 0 0"
IGNORE = "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10"


def folder(root: Path, *rows: str, name: str = "000001") -> Path:
    image(root / f"image_2/{name}.png")
    text(root / f"label_2/{name}.txt", "".join(f"{row}\n" for row in rows))
    return root


def test_boxes_and_what_else_is_known_of_them(tmp_path: Path) -> None:
    result = read(folder(tmp_path, CAR, FLAT))
    car, van = result.dataset.instances()
    assert result.format == "kitti"
    assert result.dataset.names == ["Car", "Van"]
    assert car.box == Box(10, 20, 30.5, 40)
    assert dict(car.attributes) == {
        "truncated": 0.1,
        "occluded": 2,
        "alpha": -1.57,
        "dimensions": [1.5, 1.6, 3.9],
        "location": [-1.2, 1.4, 20.5],
        "rotation_y": -1.6,
    }
    assert dict(van.attributes) == {}  # zeros in all of three dimensions are no measurement


def test_a_sixteenth_column_is_the_score(tmp_path: Path) -> None:
    (item,) = read(folder(tmp_path, f"{FLAT} 0.75")).dataset.instances()
    assert dict(item.attributes) == {"score": 0.75}


def test_regions_to_ignore_are_counted_and_said_once(tmp_path: Path) -> None:
    folder(tmp_path, IGNORE, IGNORE, CAR)
    result = read(folder(tmp_path, IGNORE, name="000002"))
    assert result.dataset.names == ["Car"]
    assert result.report.lost == {"ignored-regions": 3}
    assert result.report.count("kitti.ignored-regions") == 1
    assert [len(s.instances) for s in result.dataset.samples] == [1, 0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (CAR.rsplit(" ", 1)[0], "it has 14 columns, not 15 or 16"),
        (CAR.replace("30.5", "wide"), "'wide' is not a finite number"),
        (CAR.replace("30.5", "nan"), "'nan' is not a finite number"),
        (f"{CAR} 0.5 1", "it has 17 columns"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    result = read(folder(tmp_path, CAR, "", row))
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert finding.path == tmp_path / "label_2/000001.txt"
    assert finding.line == 3
    assert len(list(result.dataset.instances())) == 1


def test_what_only_describes_an_object_costs_no_box(tmp_path: Path) -> None:
    rows = [CAR.replace("-1.57", "nan"), CAR.replace(" 2 ", " 1e999 "), f"{FLAT} high"]
    angle, occluded, score = read(folder(tmp_path, *rows)).dataset.instances()
    assert dict(angle.attributes) == {"truncated": 0.1, "occluded": 2}
    assert "occluded" not in occluded.attributes
    assert dict(score.attributes) == {}


def test_empty_files_are_images_without_objects(tmp_path: Path) -> None:
    folder(tmp_path, CAR)
    result = read(folder(tmp_path, name="000002"))
    assert result.report.read["annotation-files"] == 2
    assert [len(s.instances) for s in result.dataset.samples] == [1, 0]


def test_images_of_the_test_set_were_never_labelled(tmp_path: Path) -> None:
    folder(tmp_path / "training", CAR)
    image(tmp_path / "training/image_2/000002.png")
    image(tmp_path / "testing/image_2/000001.png")
    result = read(tmp_path)
    assert [(s.image.name, s.split) for s in result.dataset.samples] == [
        ("000001.png", "train"),
        ("000002.png", "train"),
    ]
    assert result.report.lost == {"images-not-listed": 1}


def test_one_file_alone_says_nothing_of_other_images(tmp_path: Path) -> None:
    folder(tmp_path, CAR)
    folder(tmp_path, CAR, name="000002")
    result = read(tmp_path / "label_2/000001.txt")
    assert [s.image.name for s in result.dataset.samples] == ["000001.png"]
    result = read(tmp_path, annotations="000001.txt")
    assert [s.image.name for s in result.dataset.samples] == ["000001.png"]
    assert result.report.lost == {"images-not-listed": 1}


def test_the_left_image_is_taken_and_any_extension(tmp_path: Path) -> None:
    folder(tmp_path, CAR)
    image(tmp_path / "image_3/000001.png")
    image(tmp_path / "image_2/000002.jpg")
    text(tmp_path / "label_2/000002.txt", CAR)
    result = read(tmp_path)
    names = [s.image.relative_to(tmp_path).as_posix() for s in result.dataset.samples]
    assert names == ["image_2/000001.png", "image_2/000002.jpg"]
    assert not list(result.report.of("error"))


def test_a_label_without_an_image_is_said(tmp_path: Path) -> None:
    folder(tmp_path, CAR)
    text(tmp_path / "label_2/000009.txt", f"{CAR}\n{CAR}\n")
    result = read(tmp_path)
    assert result.report.lost == {"images": 1, "objects-without-image": 2}


def test_yolo_does_not_claim_these_nor_the_other_way_round(tmp_path: Path) -> None:
    assert "not YOLO" in read(folder(tmp_path / "k", CAR)).explanation
    image(tmp_path / "y/images/a.jpg")
    text(tmp_path / "y/labels/a.txt", "0 0.5 0.5 0.2 0.2\n")
    assert "not KITTI" in read(tmp_path / "y").explanation


def test_boxes_of_the_release_lie_in_their_images(shared: Path) -> None:
    result = read(shared / "data/kitti3")
    for sample in result.dataset.samples:
        for item in sample.instances:
            assert item.box.clipped(sample.size) == item.box
