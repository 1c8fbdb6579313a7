"""Boxes, rings and run lengths, against pycocotools where it has an opinion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco

from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    RleMask,
    Size,
    bitmap_to_rle,
    box_iou,
    box_ring,
    boxes_iou,
    clip_ring,
    mask_area,
    mask_box,
    ring,
    ring_area,
    rings_box,
    rle_to_bitmap,
)

coordinates = st.floats(-1000, 1000, allow_nan=False, width=32)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates).map(
    lambda v: Box(min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
)
bitmaps = npst.arrays(
    np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1)
)


@given(boxes)
def test_box_conventions_agree(box: Box) -> None:
    assert tuple(Box.from_xywh(*box.xywh)) == pytest.approx(tuple(box), abs=1e-3)
    cx, cy = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    assert Box.from_cxcywh(cx, cy, box.width, box.height) == pytest.approx(tuple(box), abs=1e-3)


@given(boxes)
def test_clipping_is_idempotent_and_never_grows(box: Box) -> None:
    size = Size(300, 200)
    clipped = box.clipped(size)
    assert clipped.clipped(size) == clipped
    assert clipped.area <= box.area
    assert 0 <= clipped.x1 <= clipped.x2 <= 300
    assert 0 <= clipped.y1 <= clipped.y2 <= 200


@given(boxes, boxes)
@settings(max_examples=50)
def test_box_iou_agrees_with_pycocotools(a: Box, b: Box) -> None:
    if a.area == 0 or b.area == 0:
        return
    # tiny overlaps of huge boxes lie beyond the precision of either
    expected = float(coco.iou([list(a.xywh)], [list(b.xywh)], [0])[0][0])
    assert box_iou(a, b) == pytest.approx(expected, abs=1e-6)
    assert boxes_iou(np.asarray([a, b]), np.asarray([b, b])).tolist() == pytest.approx(
        [expected, 1.0 if b.area else 0.0], abs=1e-6
    )


def test_many_boxes_without_an_area_or_a_place_overlap_nothing() -> None:
    odd = np.asarray([[5, 5, 5, 5], [9, 9, 1, 1], [np.nan, 0, 1, 1], [0, 0, np.inf, 1]])
    assert boxes_iou(odd, np.asarray([[0.0, 0, 10, 10]] * 4)).tolist() == [0, 0, 0, 0]
    assert boxes_iou(np.zeros((0, 4)), np.zeros((0, 4))).tolist() == []


def test_an_inverted_box_has_no_area() -> None:
    assert Box(10, 10, 5, 20).area == 0
    assert box_iou(Box(10, 10, 5, 20), Box(0, 0, 20, 20)) == 0


def test_ring_needs_pairs() -> None:
    assert ring([1, 2, 3, 4, 5, 6]).tolist() == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(ValueError, match="pairs"):
        ring([1, 2, 3])


def test_ring_area_does_not_lose_small_polygons_far_away() -> None:
    small = box_ring(Box(0, 0, 0.5, 0.5))
    assert ring_area(small + 1e7) == pytest.approx(0.25)
    assert ring_area(small[::-1]) == pytest.approx(0.25)
    assert ring_area(small[:2]) == 0


@given(boxes)
@settings(max_examples=50)
def test_clipping_a_ring_of_a_box_is_clipping_the_box(box: Box) -> None:
    size = Size(300, 200)
    clipped = clip_ring(box_ring(box), size)
    expected = box.clipped(size)
    assert ring_area(clipped) == pytest.approx(expected.area, rel=1e-6, abs=1e-6)
    if expected.area > 0:
        assert rings_box([clipped]) == pytest.approx(tuple(expected), abs=1e-4)


def test_clipping_a_polygon_cuts_it_and_does_not_bend_it() -> None:
    triangle = ring([-10, 0, 10, 0, -10, 20])
    clipped = clip_ring(triangle, Size(100, 100))
    # what is left of the line from (10, 0) to (-10, 20) meets the border at (0, 10)
    assert ring_area(clipped) == pytest.approx(50)
    assert [0.0, 10.0] in clipped.tolist()
    assert len(clip_ring(triangle - 100, Size(100, 100))) == 0


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools' own
@given(bitmaps)
def test_run_lengths_agree_with_pycocotools(bitmap: np.ndarray) -> None:
    rle = bitmap_to_rle(bitmap)
    h, w = bitmap.shape
    assert rle.size == Size(w, h)
    assert (rle_to_bitmap(rle) == bitmap).all()
    compressed = coco.frPyObjects({"size": [h, w], "counts": list(rle.counts)}, h, w)
    assert (coco.decode(compressed) == bitmap).all()
    assert mask_area(rle) == int(coco.area(compressed))
    if bitmap.any():
        assert mask_box(rle).xywh == tuple(coco.toBbox(compressed))


def test_run_lengths_must_fill_the_image() -> None:
    with pytest.raises(ValueError, match="add up to 3"):
        rle_to_bitmap(RleMask((1, 2), Size(2, 2)))
    with pytest.raises(ValueError, match="empty"):
        mask_box(RleMask((4,), Size(2, 2)))


def test_the_box_of_run_lengths_takes_no_memory() -> None:
    side = 10**9
    mask = RleMask((side * 7 + 3, 2, side * side - side * 7 - 5), Size(side, side))
    assert mask_box(mask) == Box(7, 3, 8, 5)


def test_polygon_masks_compare_by_value_and_holes_count() -> None:
    outer, hole = box_ring(Box(0, 0, 10, 10)), box_ring(Box(2, 2, 4, 4))
    assert PolygonMask((outer,), (hole,)) == PolygonMask((outer.copy(),), (hole.copy(),))
    assert PolygonMask((outer,)) != PolygonMask((outer,), (hole,))
    assert mask_area(PolygonMask((outer,), (hole,))) == 96
    assert mask_box(PolygonMask((outer + 5,), (hole,))) == Box(5, 5, 15, 15)
