"""Masks from one form into another keep their pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    Size,
    bitmap_to_rle,
    box_ring,
    mask_area,
    ring_area,
)
from detect_tl.core.masks import draw_mask, join_rings, outline

bitmaps = npst.arrays(
    np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 1)
)


@given(bitmaps)
@settings(max_examples=200)
def test_an_outline_is_exact_to_the_pixel(bitmap: np.ndarray) -> None:
    """Corners that touch, holes in parts in holes: what is drawn again is what was traced."""
    traced = outline(bitmap)
    height, width = bitmap.shape
    assert mask_area(traced) == bitmap.sum()
    assert (draw_mask(traced, Size(width, height)) == bitmap).all()


def test_the_outline_of_nothing_is_nothing() -> None:
    assert outline(np.zeros((4, 4), np.uint8)) == PolygonMask(())


def test_the_outline_of_a_rectangle_is_its_four_corners() -> None:
    bitmap = np.zeros((10, 12), np.uint8)
    bitmap[2:5, 3:9] = 1
    (part,) = outline(bitmap).parts
    assert sorted(part.tolist()) == sorted(box_ring(Box(3, 2, 9, 5)).tolist())


@given(bitmaps.filter(lambda b: b.any()))
@settings(max_examples=100)
def test_joined_rings_keep_the_area(bitmap: np.ndarray) -> None:
    joined = join_rings(outline(bitmap))
    assert ring_area(joined) == pytest.approx(float(bitmap.sum()))


def test_joined_rings_fill_the_same_pixels() -> None:
    """As Ultralytics draws them: one polygon, filled by OpenCV."""
    ring = cv2.ellipse2Poly((60, 60), (50, 40), 0, 0, 360, 5).astype(np.float64)
    hole = cv2.ellipse2Poly((60, 60), (20, 15), 0, 0, 360, 5).astype(np.float64)
    mask = PolygonMask((ring, box_ring(Box(130, 20, 180, 90))), (hole,))
    size = Size(200, 120)
    drawn = np.zeros((120, 200), np.uint8)
    cv2.fillPoly(drawn, [np.rint(join_rings(mask)).astype(np.int32)], 1)
    wanted = draw_mask(mask, size)
    overlap = (drawn & wanted).sum() / (drawn | wanted).sum()
    assert overlap > 0.95  # OpenCV fills the border pixels too
    assert drawn[60, 60] == 0


def test_a_mask_without_vertices_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="without vertices"):
        join_rings(PolygonMask(()))


def test_run_lengths_of_another_size_are_refused() -> None:
    rle = bitmap_to_rle(np.ones((3, 4), np.uint8))
    assert draw_mask(rle, Size(4, 3)).all()
    with pytest.raises(ValueError, match="the image"):
        draw_mask(rle, Size(3, 4))
