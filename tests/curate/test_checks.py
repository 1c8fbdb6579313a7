"""Checks yield findings; they neither print nor mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Size, ring
from detect_tl.core.progress import Silent
from detect_tl.curate.checks import check_dataset, drop_unusable
from detect_tl.curate.image_checks import is_truncated
from tests.formats.makers import image

SIZE = Size(100, 80)
GOOD = Box(10, 10, 30, 30)
SQUARE = [10.0, 10, 30, 10, 30, 30, 10, 30]


def one(path: Path, *items: Instance, names: tuple[str, ...] = ("cat",)) -> Dataset:
    sample = Sample(image(path / "a.jpg"), SIZE, items, "train", path / "a.xml")
    return Dataset(tuple(Category(name) for name in names), (sample,))


def outlined(box: Box, *flat: list[float]) -> Instance:
    return Instance(0, box, PolygonMask(tuple(map(ring, flat))))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Instance(0, GOOD), {}),
        (outlined(GOOD, SQUARE), {}),
        (Instance(3, GOOD), {"class.unknown": "error", "class.unused": "info"}),
        (Instance(0, Box(30, 10, 10, 30)), {"box.inverted": "warning"}),
        (Instance(0, Box(5, 5, 5, 20)), {"box.zero-area": "error"}),
        (Instance(0, Box(-5, 0, 20, 20)), {"box.out-of-bounds": "warning"}),
        (Instance(0, Box(-0.5, 0, 100.9, 20)), {}),
        (outlined(Box(60, 60, 90, 79), SQUARE), {"box.mask-mismatch": "warning"}),
        (outlined(GOOD, SQUARE, [1, 1, 2, 2]), {"mask.zero-area": "warning"}),
    ],
)
def test_objects(tmp_path: Path, item: Instance, expected: dict[str, str]) -> None:
    report = check_dataset(one(tmp_path, item))
    assert {f.code: f.severity for f in report.findings} == expected
    assert all("a.jpg" in f.message for f in report.findings if f.code != "class.unused")


def test_the_same_box_twice(tmp_path: Path) -> None:
    made = one(tmp_path, Instance(0, GOOD), Instance(0, GOOD), Instance(1, GOOD), names=("a", "b"))
    assert check_dataset(made).by_code() == {"box.duplicate": 1}


def test_classes_and_backgrounds(tmp_path: Path) -> None:
    made = one(tmp_path, names=("cat", "Cat ", "dog"))
    assert check_dataset(made).by_code() == {
        "class.unused": 3,
        "annotation.empty": 1,
        "class.case-variant": 1,
    }


def damaged(path: Path, kind: str) -> Path:
    """An image file that is damaged in one way."""
    target = image(path / f"{kind}.{'png' if 'png' in kind else 'jpg'}", (400, 300))
    data = target.read_bytes()
    if kind == "missing":
        target.unlink()
    elif kind == "text":
        target.write_text("no pixels")
    elif kind.startswith("cut"):
        target.write_bytes(data[: len(data) * 2 // 3])
    return target


@pytest.mark.parametrize(
    ("kind", "code", "seen_at_the_ends"),
    [
        ("whole", "", False),
        ("whole-png", "", False),
        ("missing", "image.missing", True),
        ("text", "image.unreadable", False),
        ("cut", "image.truncated", True),
        ("cut-png", "image.truncated", True),
    ],
)
def test_image_files(tmp_path: Path, kind: str, code: str, *, seen_at_the_ends: bool) -> None:
    sample = Sample(damaged(tmp_path, kind), Size(400, 300), (Instance(0, GOOD),))
    made = Dataset((Category("cat"),), (sample,))
    assert [f.code for f in check_dataset(made).of("error")] == ([code] if code else [])
    report = Report()
    left = drop_unusable(made, report, Silent())
    assert len(left) == (0 if seen_at_the_ends else 1)
    if seen_at_the_ends:
        assert report.lost == {"images": 1, "objects-without-image": 1}
        assert report.count(code) == 1


def test_what_cameras_append_is_no_damage(tmp_path: Path) -> None:
    path = image(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + b"\0" * 500)
    assert not is_truncated(path)
    path.write_bytes(path.read_bytes() + b"SEFT made by a telephone" * 20)
    assert not is_truncated(path)


def test_images_too_small_for_training(tmp_path: Path) -> None:
    sample = Sample(image(tmp_path / "a.jpg", (9, 200)), Size(9, 200))
    report = check_dataset(Dataset((), (sample,)))
    assert report.count("image.too-small") == 1


@pytest.mark.parametrize(
    ("splits", "code"), [(("train", "train"), "image.duplicate"), (("train", "val"), "split.leak")]
)
def test_the_same_image_twice(tmp_path: Path, splits: tuple[str, str], code: str) -> None:
    first = image(tmp_path / "a.jpg")
    second = tmp_path / "b.jpg"
    second.write_bytes(first.read_bytes())
    other = tmp_path / "c.jpg"  # as long as the others, and not the same
    data = first.read_bytes()
    other.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    named = zip((first, second, other), (*splits, "val"), strict=True)
    samples = tuple(Sample(path, SIZE, (Instance(0, GOOD),), split) for path, split in named)
    report = check_dataset(Dataset((Category("cat"),), samples), decode=False)
    assert report.by_code() == {code: 1}
    assert "b.jpg" in report.findings[0].message
