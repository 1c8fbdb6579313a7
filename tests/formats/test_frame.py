"""Coordinates on the upright image, checked by turning the pixels themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from detect_tl.core.geometry import Box, PolygonMask, Size, bitmap_to_rle, ring, rle_to_bitmap
from detect_tl.formats.frame import frame_of
from tests.formats.makers import coco, image, read

STORED, SIDEWAYS = Size(60, 40), range(5, 9)


def upright(bitmap: np.ndarray, orientation: int) -> np.ndarray:
    """What Pillow makes of a stored image with this EXIF orientation."""
    picture = Image.fromarray(bitmap * 255)
    exif = picture.getexif()
    exif[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(picture)) > 0


@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_boxes_points_and_bitmaps_turn_with_the_image(orientation: int) -> None:
    stored = np.zeros((40, 60), np.uint8)
    stored[5:15, 10:40] = 1
    turned = upright(stored, orientation)
    frame = frame_of((Size(40, 60), orientation), STORED)
    assert (frame.note, frame.size) == ("turned", Size(40, 60))
    x1, y1, x2, y2 = (int(v) for v in frame.box(Box(10, 5, 40, 15)))
    expected = np.zeros((60, 40), bool)
    expected[y1:y2, x1:x2] = True
    assert (expected == turned).all()
    mask = frame.mask(bitmap_to_rle(stored))
    assert mask is not None
    assert (rle_to_bitmap(mask) == turned).all()
    corners = frame.points(ring([10, 5, 40, 5, 40, 15, 10, 15]))
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([x1, y1], [x2, y2])


def test_an_annotation_of_the_upright_image_is_left_alone() -> None:
    frame = frame_of((Size(40, 60), 6), Size(40, 60))
    assert not frame.moves
    assert frame.box(Box(1, 2, 3, 4)) == Box(1, 2, 3, 4)


def test_a_square_image_tells_nothing_and_is_left_alone() -> None:
    assert not frame_of((Size(50, 50), 6), Size(50, 50)).moves


@pytest.mark.parametrize("declared", [None, Size(0, 0), Size(0, 80)])
def test_without_a_declared_size_the_image_decides(declared: Size | None) -> None:
    assert frame_of((Size(100, 80), 1), declared).note == ""


def test_coordinates_of_a_reduced_copy_are_scaled() -> None:
    frame = frame_of((Size(200, 160), 1), Size(100, 80), Box(0, 0, 100, 80))
    assert frame.note == "scaled"
    assert frame.box(Box(10, 20, 30, 40)) == Box(20, 40, 60, 80)
    mask = frame.mask(PolygonMask((ring([1, 2, 3, 4, 5, 6]),)))
    assert mask == PolygonMask((ring([2, 4, 6, 8, 10, 12]),))
    half = np.zeros((80, 100), np.uint8)
    half[:, :50] = 1
    scaled = frame.mask(bitmap_to_rle(half))
    assert scaled is not None
    assert rle_to_bitmap(scaled)[:, :100].all()
    assert not rle_to_bitmap(scaled)[:, 100:].any()


@pytest.mark.parametrize(
    ("declared", "extent", "note"),
    [
        (Size(80, 100), Box(0, 0, 80, 100), "swapped"),  # width and height in the wrong order
        (Size(50, 40), Box(0, 0, 90, 70), "unclear"),  # boxes do not fit the declared size
        (Size(640, 300), Box(0, 0, 50, 50), "unclear"),  # another shape altogether
        (Size(10**9, 8 * 10**8), Box(0, 0, 50, 50), "unclear"),  # larger than any image
        (Size(10**400, 10**400), None, "unclear"),
    ],
)
def test_other_sizes_change_nothing(declared: Size, extent: Box, note: str) -> None:
    frame = frame_of((Size(100, 80), 1), declared, extent)
    assert (frame.note, frame.moves) == (note, False)


def test_an_inverted_box_stays_inverted_for_the_checks_to_see() -> None:
    frame = frame_of((Size(200, 160), 1), Size(100, 80))
    assert frame.box(Box(30, 40, 10, 20)) == Box(60, 80, 20, 40)


@pytest.mark.parametrize(("declared", "note"), [((60, 40), "turned"), ((40, 60), "")])
def test_readers_turn_what_was_drawn_on_the_stored_image(
    tmp_path: Path, declared: tuple[int, int], note: str
) -> None:
    image(tmp_path / "a.jpg", (60, 40), orientation=6)
    box = {"image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 8]}
    coco(tmp_path / "a.json", [(1, "a.jpg")], [box], size=declared)
    result = read(tmp_path)
    (sample,) = result.dataset.samples
    assert sample.size == Size(40, 60)
    expected = Box(27, 10, 35, 30) if note else Box(10, 5, 30, 13)
    assert sample.instances[0].box == expected
    assert result.report.changed["objects-turned-by-exif"] == (1 if note else 0)
