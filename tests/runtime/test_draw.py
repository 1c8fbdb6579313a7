from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Size
from detect_tl.runtime.counts import Counts
from detect_tl.runtime.draw import class_colour, draw_counts, draw_detections
from detect_tl.runtime.regions import lines_of, zones_of

NAMES = ("cat", "Пёс", "naïve größe")


def found_at(
    *boxes: tuple[float, float, float, float], masks: np.ndarray | None = None
) -> Detections:
    n = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.linspace(0.9, 0.3, n, dtype=np.float32),
        np.arange(n) % len(NAMES),
        masks,
    )


def test_classes_have_distinct_colours_that_never_change() -> None:
    colours = [class_colour(i) for i in range(80)]
    assert len(set(colours)) == 80
    assert colours == [class_colour(i) for i in range(80)]
    assert all(0 <= value <= 255 for colour in colours for value in colour)
    # Neighbours are easy to tell apart.
    apart = [np.abs(np.subtract(a, b)).sum() for a, b in pairwise(colours)]
    assert min(apart) > 100


def test_the_box_is_drawn_and_its_inside_and_outside_are_left_alone() -> None:
    image = np.full((300, 400, 3), 90, np.uint8)
    draw_detections(image, found_at((100, 120, 300, 250)), NAMES)
    assert image[185, 100].tolist() == list(class_colour(0))
    assert image[250, 200].tolist() == list(class_colour(0))
    assert (image[130:240, 110:290] == 90).all()
    assert (image[260:] == 90).all()
    label = image[100:119, 100:140].reshape(-1, 3)
    assert (label == class_colour(0)).all(axis=1).mean() > 0.3


def test_masks_tint_their_pixels_only() -> None:
    image = np.full((200, 200, 3), 100, np.uint8)
    mask = np.zeros((1, 200, 200), bool)
    mask[0, 60:140, 60:100] = True
    draw_detections(image, found_at((50, 50, 150, 150), masks=mask), NAMES)
    expected = np.rint(0.55 * 100 + 0.45 * np.array(class_colour(0)))
    assert image[100, 80] == pytest.approx(expected, abs=1)
    assert image[100, 120].tolist() == [100, 100, 100]


def test_the_number_of_an_object_comes_first() -> None:
    image = np.full((300, 400, 3), 90, np.uint8)
    expected = image.copy()
    found = found_at((100, 120, 300, 250), (20, 200, 80, 260))
    draw_detections(expected, found, ("#12 cat", "dog"))
    draw_detections(image, replace(found, track_id=np.array([12, -1])), ("cat", "dog"))
    assert np.array_equal(image, expected)


def test_lines_and_zones_show_where_in_is_and_what_was_counted() -> None:
    lines = lines_of({"door": (0.5, 1, 0.5, 0)})  # upwards: in is to the left
    zones = zones_of({"floor": (40, 200, 160, 200, 160, 280, 40, 280)})
    counts = Counts(lines, zones, NAMES, tracked=True)
    image = np.zeros((300, 400, 3), np.uint8)
    draw_counts(image, counts)
    assert (image[10:250, 200] > 200).all()  # smooth lines
    assert image[150, 180:195].max(axis=1).min() > 100  # the arrow
    assert not image[140:160, 205:].any()
    assert (image[280, 45:155] > 200).all()
    assert not image[220:270, 60:150].any()
    before = image.copy()
    found = replace(found_at((80, 210, 120, 250)), track_id=np.array([1]))
    counts.update(Size(400, 300), found)
    draw_counts(image, counts)
    assert not np.array_equal(image, before)  # "floor 1"


def test_nothing_found_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    before = image.copy()
    draw_detections(image, Detections.empty(), NAMES)
    assert np.array_equal(image, before)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    seed=st.integers(0, 1000),
    count=st.integers(1, 6),
    masked=st.booleans(),
)
def test_any_box_in_any_picture(
    width: int, height: int, seed: int, count: int, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1).reshape(count, 4)
    boxes = corners * np.array([width, height] * 2)
    masks = rng.random((count, height, width)) > 0.5 if masked else None
    image = np.zeros((height, width, 3), np.uint8)
    draw_detections(image, found_at(*map(tuple, boxes), masks=masks), NAMES)
    assert image.any()
