from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from detect_tl.core.dataset import Instance
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, RleMask, rle_to_bitmap
from detect_tl.formats.voc.palette import palette
from tests.formats.makers import coco, image, read, text

CAT, DOG = Box(10, 10, 30, 30), Box(50, 20, 70, 60)


def pixels(*objects: tuple[int, Box]) -> NDArray[np.uint16]:
    values = np.zeros((80, 100), np.uint16)
    for number, box in objects:
        x1, y1, x2, y2 = map(int, box)
        values[y1:y2, x1:x2] = number
    return values


def save(path: Path, values: NDArray[np.uint16], kind: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "I;16":
        Image.fromarray(values).save(path)
        return path
    made = Image.fromarray(values.astype(np.uint8))
    if kind == "P":
        made = made.convert("P")
        made.putdata(values.reshape(-1).tolist())
        made.putpalette([channel for colour in palette() for channel in colour])
    made.convert(kind).save(path)
    return path


def boxes(items: tuple[Instance, ...] | list[Instance]) -> list[Box]:
    for item in items:
        assert isinstance(item.mask, RleMask)
        x1, y1, x2, y2 = map(int, item.box)
        drawn = rle_to_bitmap(item.mask)
        assert drawn.sum() == drawn[y1:y2, x1:x2].sum() == item.box.area
    return [item.box for item in items]


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [("L", (1, 2)), ("I;16", (1, 40000)), ("P", (1, 2)), ("RGB", (7, 200)), ("LA", (3, 4))],
)
def test_a_number_per_object(tmp_path: Path, kind: str, numbers: tuple[int, int]) -> None:
    image(tmp_path / "images/a.jpg")
    values = pixels((numbers[0], CAT), (numbers[1], DOG))
    save(tmp_path / "masks/a.png", values, kind)
    result = read(tmp_path)
    assert result.format == "masks"
    (sample,) = result.dataset.samples
    assert sample.image == tmp_path / "images/a.jpg"
    assert sample.annotation == tmp_path / "masks/a.png"
    assert boxes(list(sample.instances)) == [CAT, DOG]
    assert result.dataset.names == ["object"]
    assert {f.code for f in result.report.findings} == {"masks.no-class", "masks.numbers"}


def test_the_border_of_a_palette_is_no_object(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a.png", pixels((255, Box(5, 5, 35, 35)), (1, CAT)), "P")
    assert boxes(list(read(tmp_path).dataset.instances())) == [CAT]


@pytest.mark.parametrize(
    ("picture", "masks"),
    [
        ("images/a.jpg", ["masks/a_1.png", "masks/a_2.png"]),
        ("images/a.jpg", ["masks/a/1.png", "masks/a/2.png"]),
        ("images/a.jpg", ["masks/a_mask_0.png", "masks/a_mask_1.png"]),
        ("train/images/a.jpg", ["train/masks/a_1.png", "train/masks/a_2.png"]),
        ("images/train/a.jpg", ["masks/train/a_1.png", "masks/train/a_2.png"]),
        ("a/images/a.png", ["a/masks/0f3c.png", "a/masks/77ab.png"]),  # DSB 2018
        ("7/images/7.png", ["7/masks/1.png", "7/masks/2.png"]),
        ("a.jpg", ["masks/a-1.png", "masks/a-2.png"]),
    ],
)
def test_a_picture_per_object(tmp_path: Path, picture: str, masks: list[str]) -> None:
    image(tmp_path / picture)
    for name, box in zip(masks, [CAT, DOG], strict=True):
        save(tmp_path / name, pixels((255, box)))
    result = read(tmp_path)
    (sample,) = result.dataset.samples
    assert boxes(list(sample.instances)) == [CAT, DOG]
    assert sample.split == ("train" if "train" in picture else None)
    assert not list(result.report.of("error"))


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("PNGImages/a.png", "PedMasks/a_mask.png"),  # Penn-Fudan
        ("a.jpg", "a_mask.png"),
        ("img/a.jpg", "instance_masks/a_instance.png"),
        ("data/JPEGImages/a.jpg", "data/labels/a.png"),
        ("train/a.jpg", "train_masks/a.png"),
    ],
)
def test_names_of_masks(tmp_path: Path, picture: str, mask: str) -> None:
    image(tmp_path / picture)
    save(tmp_path / mask, pixels((1, CAT), (2, DOG)))
    (sample,) = read(tmp_path).dataset.samples
    assert (sample.image, len(sample.instances)) == (tmp_path / picture, 2)


def test_folders_name_the_classes(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/cat/a.png", pixels((255, CAT)))
    save(tmp_path / "masks/dog/a_1.png", pixels((255, DOG)))
    result = read(tmp_path)
    assert result.dataset.objects_per_class() == {"cat": 1, "dog": 1}
    assert result.report.count("masks.no-class") == 0


def test_a_file_of_one_class_names_all(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a.png", pixels((1, CAT), (2, DOG)))
    text(tmp_path / "classes.txt", "nucleus\n")
    assert read(tmp_path).dataset.objects_per_class() == {"nucleus": 2}


def test_a_mask_of_one_value_is_one_object_and_that_is_said(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a.png", pixels((255, CAT), (255, DOG)))
    result = read(tmp_path)
    assert len(list(result.dataset.instances())) == 1
    assert result.report.count("masks.one-object") == 1


def test_soft_edges_are_no_objects(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    soft = pixels((100, Box(9, 9, 31, 31)), (255, CAT), (200, Box(10, 10, 30, 11)))
    save(tmp_path / "masks/a.png", soft)
    result = read(tmp_path)
    assert boxes(list(result.dataset.instances())) == [CAT]
    assert result.report.changed == {"masks-with-soft-edges": 1}


def noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = np.random.default_rng(seed).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(photo).convert("L" if seed % 2 else "RGB").save(path)


@pytest.mark.parametrize("seed", [1, 2])
def test_photos_in_a_folder_called_masks_are_photos(tmp_path: Path, seed: int) -> None:
    image(tmp_path / "images/a.jpg")
    noise(tmp_path / "masks/a.png", seed)  # people who wear masks
    with pytest.raises(DataError, match=r"as in a photo|it is in colour"):
        read(tmp_path)


def test_a_photo_among_masks_is_lost_and_named(tmp_path: Path) -> None:
    for name in "abcd":
        image(tmp_path / f"images/{name}.jpg")
        save(tmp_path / f"masks/{name}.png", pixels((1, CAT)))
    noise(tmp_path / "masks/c.png", 1)
    (tmp_path / "masks/d.png").write_bytes(b"\x89PNG no more")
    result = read(tmp_path)
    # an image whose mask is damaged is not one without objects
    assert [s.image.stem for s in result.dataset.samples] == ["a", "b"]
    assert [f.path.name for f in result.report.of("error") if f.path] == ["c.png", "d.png"]
    assert result.report.lost == {"mask-files": 2, "images": 2}


def test_masks_beside_annotations_are_a_by_product(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a.png", pixels((1, CAT)))
    coco(tmp_path / "annotations.json", [(1, "a.jpg")], [])
    assert read(tmp_path).format == "coco"
    assert read(tmp_path, "masks").format == "masks"


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    image(tmp_path / "images/half.jpg", (50, 40))
    image(tmp_path / "images/other.jpg", (31, 77))
    image(tmp_path / "images/turned.jpg", (100, 80), orientation=6)
    for name in ("half", "other", "turned"):
        save(tmp_path / f"masks/{name}.png", pixels((1, CAT)))
    result = read(tmp_path)
    found = {s.image.stem: boxes(list(s.instances)) for s in result.dataset.samples}
    assert found["half"] == [Box(5, 5, 15, 15)]
    assert found["turned"] == [Box(50, 10, 70, 30)]
    assert "other" not in found
    (error,) = result.report.of("error")
    assert "of 100x80 pixels, its image of 31x77" in error.message


def test_masks_without_an_image_are_counted(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a.png", pixels((1, CAT)))
    save(tmp_path / "masks/gone.png", pixels((1, CAT), (2, DOG)))
    result = read(tmp_path)
    assert result.report.lost == {"images": 1, "objects-without-image": 2}
    assert result.report.count("image.missing") == 1


def png_of(width: int, height: int) -> bytes:
    """The smallest file that declares a picture of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        size, check = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
        return size + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


@pytest.mark.parametrize(
    ("size", "words"),
    [((40000, 30000), "1200000000 pixels"), ((15000, 10000), "15000x10000 pixels is refused")],
)
def test_a_mask_too_large_is_refused_by_its_header(
    tmp_path: Path, size: tuple[int, int], words: str
) -> None:
    image(tmp_path / "images/a.jpg")
    image(tmp_path / "images/b.jpg")
    save(tmp_path / "masks/a.png", pixels((1, CAT)))
    (tmp_path / "masks/b.png").write_bytes(png_of(*size))
    (error,) = read(tmp_path).report.of("error")
    assert words in error.message


def test_a_class_without_an_object_is_a_crowd(tmp_path: Path) -> None:
    image(tmp_path / "leftImg8bit/val/b/b_1_leftImg8bit.png")
    mask = tmp_path / "gtFine/val/b/b_1_gtFine_instanceIds.png"
    save(mask, pixels((24, CAT), (26003, DOG), (7, Box(0, 70, 100, 80))), "I;16")
    result = read(tmp_path)
    (sample,) = result.dataset.samples
    crowd, car = sample.instances
    assert sample.split == "val"
    assert (crowd.iscrowd, car.iscrowd) == (True, False)
    assert result.dataset.objects_per_class() == {"car": 1, "person": 1}
    assert result.report.lost == {"regions-of-stuff": 1}
