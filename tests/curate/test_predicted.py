from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from detect_tl.core.dataset import Sample
from detect_tl.core.detections import Detections
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Size
from detect_tl.core.masks import draw_mask
from detect_tl.curate.predicted import corners, predicted_sample

SIZE = Size(120, 90)


def detections(*rows: tuple[float, ...], mask: NDArray[np.bool_] | None = None) -> Detections:
    """x1, y1, x2, y2, score, class each."""
    table = np.asarray(rows, np.float64).reshape(-1, 6)
    xyxy, score = table[:, :4].astype(np.float32), table[:, 4].astype(np.float32)
    return Detections(xyxy, score, table[:, 5].astype(np.int64), mask)


def blob(seed: int) -> NDArray[np.bool_]:
    """A few ellipses, some cut out of the others."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE.height, : SIZE.width]
    mask = np.zeros((SIZE.height, SIZE.width), np.bool_)
    for filled in (True, True, False):
        cx, cy = rng.uniform(20, 100), rng.uniform(20, 70)
        a, b = rng.uniform(6, 25, 2)
        mask[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1] = filled
    return mask


def test_boxes_keep_their_class_and_their_score() -> None:
    report = Report()
    found = detections((1.123456, 2, 30, 40.5, 0.876543, 1), (5, 6, 7, 8, 0.5, 0))
    sample = predicted_sample(Sample(Path("a.jpg"), SIZE), found, report)
    first, second = sample.instances
    assert (first.category, first.box, first.mask) == (1, Box(1.12, 2, 30, 40.5), None)
    assert first.attributes == {"score": 0.8765}
    assert (second.category, second.box) == (0, Box(5, 6, 7, 8))
    assert sample.split == "train"
    assert not report.lost


def test_a_box_without_area_is_counted() -> None:
    report = Report()
    found = detections((120, 10, 120, 40, 0.9, 0), (1, 2, 3, 4, 0.5, 0))
    sample = predicted_sample(Sample(Path("a.jpg"), SIZE), found, report)
    assert [item.box for item in sample.instances] == [Box(1, 2, 3, 4)]
    assert report.lost == {"predictions-without-area": 1}


def test_a_mask_is_an_outline_and_decides_the_box() -> None:
    mask = np.zeros((1, SIZE.height, SIZE.width), np.bool_)
    mask[0, 10:30, 20:60] = True
    found = detections((18, 9, 63, 31, 0.9, 0), mask=mask)
    (item,) = predicted_sample(Sample(Path("a.jpg"), SIZE), found, Report()).instances
    assert item.box == Box(20, 10, 60, 30)
    assert isinstance(item.mask, PolygonMask)
    assert len(item.mask.parts[0]) == 4


def test_an_empty_mask_leaves_the_box() -> None:
    mask = np.zeros((1, SIZE.height, SIZE.width), np.bool_)
    found = detections((18, 9, 63, 31, 0.9, 0), mask=mask)
    (item,) = predicted_sample(Sample(Path("a.jpg"), SIZE), found, Report()).instances
    assert (item.box, item.mask) == (Box(18, 9, 63, 31), None)


@given(st.integers(0, 500))
def test_outlines_have_few_corners_and_lie_on_the_edge(seed: int) -> None:
    """No pixel further than the tolerance from the edge changes sides, and no part gets lost."""
    import cv2

    mask = blob(seed)
    found = corners(mask)
    drawn = draw_mask(found, SIZE) > 0
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) != cv2.erode(
        mask.astype(np.uint8), np.ones((5, 5)), borderValue=0
    )
    assert not ((drawn != mask) & ~near).any()
    parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert len(found.parts) == parts - 1
    assert sum(map(len, found.parts)) <= 40 * max(len(found.parts), 1)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_the_smallest_parts_stay(side: int) -> None:
    mask = np.zeros((SIZE.height, SIZE.width), np.bool_)
    mask[5 : 5 + side, 7 : 7 + side] = True
    assert (draw_mask(corners(mask), SIZE) > 0).sum() == side * side
