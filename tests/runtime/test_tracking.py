from __future__ import annotations

import sys
from collections import defaultdict
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import linear_sum_assignment

from detect_tl.core.detections import Detections
from detect_tl.runtime.tracking import Tracker


def found_at(boxes: np.ndarray, score: np.ndarray | float = 0.9) -> Detections:
    n = len(boxes)
    scores = np.broadcast_to(np.asarray(score, np.float32), n)
    return Detections(boxes.astype(np.float32).reshape(n, 4), scores, np.zeros(n, np.int64))


def square(x: float, y: float = 100, side: float = 40) -> list[float]:
    return [x, y, x + side, y + side]


def ids_of(found: Detections) -> list[int]:
    assert found.track_id is not None
    return found.track_id.tolist()


def world(seed: int, frames: int, objects: int, *, missed: float = 0.0) -> list[np.ndarray]:
    """Boxes that walk at their own speeds: per frame (objects, 5), the last one the object.

    missed: share of boxes that are not seen.
    """
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 600, (objects, 2))
    speed = rng.uniform(-4, 4, (objects, 2))
    sides = rng.uniform(30, 90, (objects, 2))
    out = []
    for _ in range(frames):
        jitter = rng.normal(0, 1, (objects, 4))
        boxes = np.concatenate([corner, corner + sides], axis=1) + jitter
        seen = rng.random(objects) >= missed
        rows = rng.permutation(np.flatnonzero(seen))
        out.append(np.column_stack([boxes[rows], rows]))
        corner = corner + speed
    return out


class TestLaws:
    @settings(max_examples=30)
    @given(seed=st.integers(0, 10_000), objects=st.integers(0, 12), missed=st.floats(0, 0.4))
    def test_every_row_is_kept_and_no_id_is_there_twice(
        self, seed: int, objects: int, missed: float
    ) -> None:
        tracker = Tracker(0.25)
        for index, rows in enumerate(world(seed, 15, objects, missed=missed)):
            boxes = rows[:, :4].astype(np.float32)
            found = tracker(index, found_at(boxes))
            assert np.array_equal(found.xyxy, boxes)  # the detector's boxes, in its order
            assert min(ids_of(found), default=1) != 0  # and `Detections` refuses doubled ones

    @settings(max_examples=30)
    @given(seed=st.integers(0, 10_000), objects=st.integers(1, 6))
    def test_objects_apart_keep_one_id_each(self, seed: int, objects: int) -> None:
        """In lanes of their own, whatever their speeds and the order of the rows."""
        rng = np.random.default_rng(seed)
        speed = rng.uniform(-8, 8, objects)
        tracker, ids = Tracker(0.25), defaultdict(set)
        for index in range(20):
            order = rng.permutation(objects)
            boxes = np.array([square(300 + speed[k] * index, 100 * k) for k in order])
            for number, k in zip(ids_of(tracker(index, found_at(boxes))), order, strict=True):
                ids[int(k)].add(number)
        assert all(len(found) == 1 for found in ids.values())
        assert len(set.union(*ids.values())) == objects

    def test_ids_begin_at_1_and_have_no_gaps(self) -> None:
        tracker = Tracker(0.25)
        boxes = np.array([square(0), square(200)])
        assert ids_of(tracker(0, found_at(boxes))) == [1, 2]
        more = np.array([*boxes, square(400), square(600)])
        assert ids_of(tracker(1, found_at(more))) == [1, 2, -1, -1]
        # One was a flicker: it has left no gap.
        assert ids_of(tracker(2, found_at(more[:3]))) == [1, 2, 3]


class TestHidden:
    def test_an_object_that_comes_back_in_time_keeps_its_id(self) -> None:
        tracker = Tracker(0.25, fps=10)
        for index in range(10):
            assert ids_of(tracker(index, found_at(np.array([square(4 * index)])))) == [1]
        for index in range(10, 18):
            assert len(tracker(index, found_at(np.zeros((0, 4))))) == 0
        # It has gone on behind what hid it.
        assert ids_of(tracker(18, found_at(np.array([square(4 * 18)])))) == [1]

    @pytest.mark.parametrize(("fps", "same"), [(30, True), (10, False), (None, True)])
    def test_the_frame_rate_says_how_long_is_too_long(self, fps: float | None, same: bool) -> None:
        tracker = Tracker(0.25, fps)
        for index in range(5):
            tracker(index, found_at(np.array([square(0)])))
        for index in range(5, 20):
            tracker(index, found_at(np.zeros((0, 4))))
        tracker(20, found_at(np.array([square(0)])))
        assert (ids_of(tracker(21, found_at(np.array([square(0)])))) == [1]) == same

    def test_frames_that_a_live_source_dropped_are_time_that_passed(self) -> None:
        """30 pixels in three frames: without the gap the square would be looked for too near."""
        tracker = Tracker(0.25, 30)
        for index in range(8):
            tracker(index, found_at(np.array([square(12 * index)])))
        assert ids_of(tracker(12, found_at(np.array([square(12 * 12)])))) == [1]
        assert 12 * 12 - 12 * 7 > 40  # no overlap with the box that was seen last

    def test_a_low_score_carries_on_a_track_and_begins_none(self) -> None:
        tracker = Tracker(0.5)
        boxes = np.array([square(0), square(300)])
        assert ids_of(tracker(0, found_at(boxes, np.array([0.9, 0.4])))) == [1]
        assert ids_of(tracker(1, found_at(boxes, np.array([0.2, 0.4])))) == [1]
        assert ids_of(tracker(2, found_at(boxes, np.array([0.05, 0.9])))) == [-1]

    def test_each_class_has_its_threshold(self) -> None:
        boxes = np.array([square(0), square(300)], np.float32)
        score = np.array([0.4, 0.4], np.float32)
        found = Detections(boxes, score, np.array([0, 1]))
        assert Tracker([0.5, 0.3])(0, found).class_id.tolist() == [1]


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_whatever_comes_nothing_breaks(seed: int) -> None:
    """Boxes that shrink, jump and vanish, and frames that are missing."""
    rng = np.random.default_rng(seed)
    tracker, index = Tracker(0.25, 30), 0
    corner, sides = rng.uniform(0, 500, (6, 2)), rng.uniform(1, 300, (6, 2))
    for _ in range(25):
        index += int(rng.choice([1, 1, 1, 7, 60]))
        sides = np.maximum(sides * rng.uniform(0.4, 1.2, (6, 2)), 0.01)
        corner = corner + rng.normal(0, 10, (6, 2))
        seen = rng.random(6) > 0.3
        boxes = np.concatenate([corner, corner + sides], axis=1)[seen]
        found = tracker(index, found_at(boxes, rng.random(len(boxes)).astype(np.float32)))
        assert np.isfinite(found.xyxy).all()
        assert max(ids_of(found), default=0) <= tracker.count


def test_boxes_without_area_are_kept_without_an_id() -> None:
    tracker = Tracker(0.25)
    found = found_at(np.array([[5, 5, 5, 9], square(0)]))
    assert ids_of(tracker(0, found)) == [-1, 1]


@pytest.fixture
def their_tracker(monkeypatch: pytest.MonkeyPatch) -> object:
    """Ultralytics' own ByteTrack; the package that solves its assignments is stood in for."""

    def lapjv(cost: np.ndarray, extend_cost: bool, cost_limit: float) -> tuple[object, ...]:
        n, m = cost.shape
        padded = np.full((n + m, n + m), cost_limit / 2)
        padded[:n, :m], padded[n:, m:] = cost, 0
        _, columns = linear_sum_assignment(padded)
        x = np.array([c if c < m else -1 for c in columns[:n]])
        y = np.full(m, -1)
        y[x[x >= 0]] = np.flatnonzero(x >= 0)
        return 0.0, x, y

    lap = ModuleType("lap")
    lap.__version__, lap.lapjv = "0", lapjv  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lap", lap)
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.byte_tracker import BYTETracker

    args = SimpleNamespace(
        track_high_thresh=0.25, track_low_thresh=0.1, new_track_thresh=0.25, track_buffer=30,
        match_thresh=0.8, fuse_score=True,
    )  # fmt: skip
    tracker = BYTETracker(args)

    def update(found: Detections) -> dict[int, int]:
        rows = np.column_stack([found.xyxy, found.score, found.class_id])
        out = tracker.update(Boxes(rows, (700, 700)))
        return {int(row[-1]): int(row[4]) for row in out}

    return update


@pytest.mark.parametrize("seed", range(6))
def test_the_same_tracks_as_ultralytics(their_tracker: object, seed: int) -> None:
    """Objects that meet, hide and flicker: the same rows have the same ids, by other numbers."""
    rng = np.random.default_rng(seed)
    ours, pairs, longest = Tracker(0.25, 30), {}, 0
    for index, rows in enumerate(world(seed, 60, 14, missed=0.15)):
        found = found_at(rows[:, :4], rng.uniform(0.05, 1, len(rows)).astype(np.float32))
        theirs = their_tracker(found)
        mine = ours(index, found)
        place = {tuple(box): k for k, box in enumerate(found.xyxy.tolist())}
        numbers = {
            place[tuple(box)]: number
            for box, number in zip(mine.xyxy.tolist(), ids_of(mine), strict=True)
            if number > 0
        }
        assert numbers.keys() == theirs.keys()
        for row, number in numbers.items():
            assert pairs.setdefault(number, theirs[row]) == theirs[row]
        longest = max(longest, *numbers.values())
    assert len(set(pairs.values())) == len(pairs) == longest > 10
