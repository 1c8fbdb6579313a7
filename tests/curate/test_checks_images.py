"""Checks of image files and of images that are there more than once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detect_tl.api import check
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.geometry import Box, Size
from detect_tl.core.image_header import read_header
from detect_tl.curate.checks import Limits, Selection, check_dataset
from tests.curate.test_duplicates import picture
from tests.formats.makers import image, voc, voc_object

SIZE = Size(100, 80)
GOOD = Box(10, 10, 30, 30)


def dataset(*samples: Sample) -> Dataset:
    return Dataset((Category("cat"),), samples)


def plain(path: Path, size: Size = SIZE, split: str | None = None, box: Box = GOOD) -> Sample:
    return Sample(path, size, (Instance(0, box),), split, path.with_suffix(".xml"))


def codes(made: Dataset, *only: str, limits: Limits | None = None) -> dict[str, int]:
    return check_dataset(made, selection=Selection(only), limits=limits).by_code()


def test_an_extension_that_lies(tmp_path: Path) -> None:
    lies = tmp_path / "a.jpg"
    Image.new("RGB", SIZE, "red").save(lies, format="PNG")
    honest = [image(tmp_path / name) for name in ("b.JPG", "c.jpeg", "d.png", "e.webp", "f.tif")]
    made = dataset(*map(plain, (lies, *honest)))
    report = check_dataset(made, decode=False, selection=Selection(("image",)))
    assert [str(f) for f in report.findings] == [
        f"{lies}: is a PNG file, called .jpg [image.extension-lies]"
    ]


@pytest.mark.parametrize(
    ("orientation", "box", "code"),
    [
        (1, Box(10, 10, 30, 90), "box.out-of-bounds"),
        (6, Box(10, 10, 30, 90), "image.exif-upright"),  # upright it is 80 wide and 100 high
        (6, Box(10, 10, 90, 30), "image.exif-frame"),
        (3, Box(10, 10, 90, 30), "image.exif-upright"),
        (6, Box(10, 10, 90, 90), "image.exif-upright"),  # fits neither frame
    ],
)
def test_exif_and_the_frame_that_was_annotated(
    tmp_path: Path, orientation: int, box: Box, code: str
) -> None:
    path = image(tmp_path / "a.jpg", (100, 80), orientation)
    made = dataset(plain(path, read_header(path).size, box=box))
    assert code in codes(made, "image", "box")
    frames = {"image.exif-upright", "image.exif-frame"}
    assert set(codes(made, "image")) == ({code} & frames)


def test_counts_of_the_two_frames(tmp_path: Path) -> None:
    """As in sets of telephone pictures: some tools turn them, others do not."""
    made = [image(tmp_path / f"{k}.jpg", (100, 80), 6 if k < 5 else 1) for k in range(7)]
    wide, high = Box(10, 10, 90, 30), Box(10, 10, 30, 90)
    samples = [
        plain(path, read_header(path).size, box=wide if k < 2 or k > 4 else high)
        for k, path in enumerate(made)
    ]
    assert codes(dataset(*samples), "image.exif-upright", "image.exif-frame") == {
        "image.exif-upright": 3,
        "image.exif-frame": 2,
    }


@pytest.mark.parametrize(
    ("mode", "suffix", "code"),
    [
        ("RGB", "png", ""),
        ("P", "png", ""),
        ("RGBA", "png", "image.transparent"),
        ("I;16", "png", "image.deep"),
        ("CMYK", "jpg", "image.cmyk"),
        ("L", "jpg", "image.grey"),
    ],
)
def test_how_pixels_are_stored(tmp_path: Path, mode: str, suffix: str, code: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, SIZE).save(path)
    usual = image(tmp_path / "b.jpg")
    assert codes(dataset(plain(path), plain(usual)), "image") == ({code: 1} if code else {})
    if code == "image.grey":  # a set that is grey altogether is one of its kind
        assert codes(dataset(plain(path)), "image") == {}


def test_sizes(tmp_path: Path) -> None:
    def sized(width: int, height: int) -> Sample:
        name = f"{width}x{height}.png"
        path = image(tmp_path / name, (width, height))
        return Sample(path, Size(width, height), (), None, path)

    small, usual, long = sized(9, 30), sized(640, 480), sized(410, 100)
    assert codes(dataset(usual), "image") == {}
    assert codes(dataset(small, usual), "image") == {"image.too-small": 1, "image.sizes-vary": 1}
    assert codes(dataset(long, usual), "image") == {"image.aspect": 1}
    assert codes(dataset(usual), "image", limits=Limits(imgsz=64)) == {"image.reduced": 1}
    assert codes(dataset(usual), "image", limits=Limits(imgsz=80)) == {}
    other = Sample(usual.image, Size(320, 240), (), None, usual.image)
    assert codes(dataset(other), "image") == {"image.wrong-size": 1}


@pytest.mark.parametrize(
    ("splits", "exact", "near"),
    [
        (("train", "train"), "image.duplicate", "image.near-duplicate"),
        ((None, None), "image.duplicate", "image.near-duplicate"),
        ((None, "train"), "image.duplicate", "image.near-duplicate"),
        (("train", "val"), "split.leak", "split.near-leak"),
        (("val", "test"), "split.leak", "split.near-leak"),
    ],
)
def test_images_that_are_there_twice(
    tmp_path: Path, splits: tuple[str | None, str | None], exact: str, near: str
) -> None:
    first, again, alike, other = (tmp_path / f"{name}.png" for name in "abcd")
    picture(1).save(first)
    again.write_bytes(first.read_bytes())
    picture(1).resize((160, 120)).save(alike)
    picture(2).save(other)
    areas = ("image.duplicate", "image.near-duplicate", "split.leak", "split.near-leak")
    for second, code in ((again, exact), (alike, near), (other, "")):
        pair = zip((first, second), splits, strict=True)
        made = dataset(*(Sample(p, read_header(p).size, (), s) for p, s in pair))
        report = check_dataset(made, selection=Selection(areas))
        assert report.by_code() == ({code: 1} if code else {})
        assert all(second.name in f.message for f in report.findings)
        fast = check_dataset(made, decode=False, selection=Selection(areas)).by_code()
        assert fast == ({code: 1} if second is again else {})


def test_a_leak_names_one_image_of_every_split_first(tmp_path: Path) -> None:
    data = picture(1)
    samples = []
    for k in range(8):
        data.save(tmp_path / f"{k}.png")
        split = "val" if k == 6 else "train"
        samples.append(Sample(tmp_path / f"{k}.png", Size(320, 240), (), split))
    (finding,) = check_dataset(dataset(*samples), selection=Selection(("split.leak",))).findings
    assert finding.message == (
        "the same image is in several splits "
        "(0.png in train, 6.png in val, 1.png in train, 2.png in train and 4 more)"
    )


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    samples = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        picture(1).save(tmp_path / folder / "a.png")
        samples.append(Sample(tmp_path / folder / "a.png", Size(320, 240)))
    (finding,) = check_dataset(
        dataset(*samples), selection=Selection(("image.duplicate",))
    ).findings
    assert finding.message == "the same image as two/a.png"


def test_augmented_copies_of_one_original_in_several_splits(tmp_path: Path) -> None:
    names = [f"{stem}_jpg.rf.{mark * 32}.jpg" for stem, mark in ("aA", "aB", "bC", "bD", "cE")]
    splits = ["train", "val", "train", "train", "test"]
    samples = [
        Sample(image(tmp_path / name), SIZE, (), split)
        for name, split in zip(names, splits, strict=True)
    ]
    report = check_dataset(dataset(*samples), selection=Selection(("split.same-original",)))
    (finding,) = report.findings
    assert f"({names[0]} in train, {names[1]} in val)" in finding.message


def test_objects_that_reading_has_turned_are_not_called_upright(tmp_path: Path) -> None:
    """Two tools annotated three telephone pictures; the sizes that they give tell which frame."""
    for k, size in enumerate([(100, 80), (80, 100), (80, 100)]):
        image(tmp_path / f"{k}.jpg", (100, 80), 6)
        voc(tmp_path / f"{k}.xml", f"{k}.jpg", voc_object("cat", 5, 5, 40, 60), size=size)
    found = check(tmp_path, only=["image"]).report
    assert found.by_code() == {"image.exif-upright": 2, "image.exif-rotated": 1}
    assert {f.image.name for f in found.findings if f.code == "image.exif-upright" and f.image} == {
        "1.jpg",
        "2.jpg",
    }


def test_missing_files_are_said_once_and_stop_nothing(tmp_path: Path) -> None:
    found = codes(dataset(plain(tmp_path / "gone.jpg"), plain(tmp_path / "gone-too.jpg")))
    assert found["image.missing"] == 2
    assert not {"check.crashed", "image.duplicate", "image.near-duplicate"} & set(found)


def test_blank_images_are_not_alike(tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{k}.png") for k in range(4)]
    noisy = np.random.default_rng(0).integers(0, 2, (80, 100), dtype=np.uint8)
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    made = dataset(*map(plain, (*paths, tmp_path / "noisy.png")))
    assert codes(made, "image.near-duplicate") == {}
