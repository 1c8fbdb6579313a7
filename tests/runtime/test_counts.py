from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from shapely import Point, Polygon

from detect_tl.core.detections import Detections
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import Size
from detect_tl.runtime.counts import MARGIN, Counts, LineCount, ZoneCount
from detect_tl.runtime.regions import lines_of, zones_of

SIZE = Size(200, 100)
NAMES = ("cat", "dog")


def standing_at(*feet: tuple[float, float], ids: list[int] | None = None) -> Detections:
    """Boxes of 20 x 20 pixels whose lower middle is there; cats and dogs in turn."""
    n = len(feet)
    boxes = np.array([[x - 10, y - 20, x + 10, y] for x, y in feet], np.float32).reshape(n, 4)
    numbers = np.array(range(1, n + 1) if ids is None else ids, np.int64)
    classes = np.arange(n) % 2
    return Detections(boxes, np.full(n, 0.9, np.float32), classes, track_id=numbers)


def crossings(line: LineCount, path: list[tuple[float, float]]) -> tuple[int, int]:
    for foot in path:
        line.update(SIZE, standing_at(foot))
    return line.entered.total(), line.left.total()


def upright() -> LineCount:
    """From the top to the bottom of the picture, in its middle: left is where x is greater."""
    (line,) = lines_of({"door": (100, 0, 100, 100)})
    return LineCount(line)


class TestLines:
    def test_over_is_in_and_back_is_out(self) -> None:
        line = upright()
        assert crossings(line, [(80, 50), (120, 50)]) == (1, 0)
        assert crossings(line, [(80, 50)]) == (1, 1)

    def test_up_over_a_line_from_left_to_right_is_in(self) -> None:
        (line,) = lines_of({"door": (0, 50, 200, 50)})
        assert crossings(LineCount(line), [(100, 80), (100, 20)]) == (1, 0)

    def test_fractions_are_of_the_picture(self) -> None:
        (line,) = lines_of({"door": (0.5, 0, 0.5, 1)})
        assert crossings(LineCount(line), [(80, 50), (120, 50)]) == (1, 0)

    def test_a_box_that_trembles_on_the_line_counts_nothing(self) -> None:
        assert crossings(upright(), [(80, 50), *[(99.3, 50), (100.7, 50)] * 20]) == (0, 0)

    def test_around_an_end_is_not_across(self) -> None:
        (line,) = lines_of({"door": (100, 0, 100, 40)})
        assert crossings(LineCount(line), [(80, 80), (120, 80), (120, 20)]) == (0, 0)

    @pytest.mark.parametrize(
        ("top", "bottom", "before", "after"),
        [(73.0, 21.1, 5.6, 40.2), (142.2, 186.4, 177.0, 203.1), (13.2, 168.3, 156.2, 181.5)],
    )
    def test_along_the_border_of_the_picture_is_across(
        self, top: float, bottom: float, before: float, after: float
    ) -> None:
        """The crossing is at the very end of the line, and beyond it by rounding."""
        (line,) = lines_of({"door": (top, 0, bottom, 100)})
        assert sum(crossings(LineCount(line), [(before, 100), (after, 100)])) == 1

    def test_hidden_while_it_crosses(self) -> None:
        line = upright()
        line.update(SIZE, standing_at((80, 50)))
        for _ in range(20):
            line.update(SIZE, standing_at(ids=[]))
        line.update(SIZE, standing_at((120, 50)))
        assert line.entered.total() == 1

    def test_what_has_no_id_is_not_counted(self) -> None:
        line = upright()
        for x in (80, 120):
            line.update(SIZE, standing_at((x, 50), ids=[-1]))
        assert not line.entered
        with pytest.raises(ValueError, match="track ids"):
            line.update(SIZE, Detections.empty())

    @settings(max_examples=60)
    @given(
        path=st.lists(st.tuples(st.floats(0, 200), st.floats(0, 100)), min_size=2, max_size=30),
        ends=st.tuples(st.floats(0, 200), st.floats(0, 200)),
    )
    def test_ins_and_outs_are_the_changes_of_side(
        self, path: list[tuple[float, float]], ends: tuple[float, float]
    ) -> None:
        """A line through the whole picture is crossed in and out in turns."""
        (given_line,) = lines_of({"door": (ends[0], 0, ends[1], 100)})
        line, sides = LineCount(given_line), []
        for foot in path:
            crossed = crossings(line, [foot])
            away = _to_the_right(foot, ends)
            if abs(away) > MARGIN * 20:
                sides.append(away > 0)
            ins = sum(after and not before for before, after in pairwise(sides))
            outs = sum(before and not after for before, after in pairwise(sides))
            assert crossed == (ins, outs)

    @pytest.mark.slow  # supervision takes two seconds to import
    def test_the_same_as_supervision(self) -> None:
        import supervision

        rng = np.random.default_rng(0)
        start, end = supervision.Point(0, 30), supervision.Point(200, 70)
        anchor = [supervision.Position.BOTTOM_CENTER]
        theirs = supervision.LineZone(start, end, anchor)
        (given_line,) = lines_of({"door": (0, 30, 200, 70)})
        ours = LineCount(given_line)
        for _ in range(200):
            x = rng.uniform(20, 180, 6)
            # far from the line, and never around its ends
            y = 30 + x / 5 + rng.choice([-1, 1], 6) * rng.uniform(8, 20, 6)
            found = standing_at(*zip(x.tolist(), y.tolist(), strict=True))
            ours.update(SIZE, found)
            theirs.trigger(
                supervision.Detections(
                    found.xyxy, class_id=found.class_id, tracker_id=found.track_id
                )
            )
        assert theirs.in_count > 100
        assert dict(ours.entered) == theirs.in_count_per_class
        assert dict(ours.left) == theirs.out_count_per_class


def _to_the_right(foot: tuple[float, float], ends: tuple[float, float]) -> float:
    """Pixels from the line from (ends[0], 0) down to (ends[1], 100), on the picture's right."""
    step = ends[1] - ends[0]
    return float(((foot[0] - ends[0]) * 100 - step * foot[1]) / np.hypot(step, 100))


class TestZones:
    def test_presence(self) -> None:
        zone = ZoneCount(zones_of({"shop": (0, 0, 100, 0, 100, 100, 0, 100)})[0])
        zone.update(SIZE, standing_at((50, 50), (60, 60), (150, 50)))
        zone.update(SIZE, standing_at((150, 50), (60, 60), (50, 50)))
        zone.update(SIZE, standing_at())
        assert zone.now.total() == 0
        assert zone.total == {0: 2, 1: 2}
        assert zone.most == {0: 1, 1: 1}
        assert zone.most_of_all == 2
        assert zone.distinct == {0: 2, 1: 1}  # 1 and 3 are cats
        assert zone.frames == 3

    def test_who_leaves_and_comes_back_is_the_same(self) -> None:
        zone = ZoneCount(zones_of({"shop": (0, 0, 0.5, 0, 0.5, 1, 0, 1)})[0])
        for x in (50, 150, 50):
            zone.update(SIZE, standing_at((x, 50)))
        assert zone.distinct.total() == 1

    def test_an_object_cut_by_the_lower_edge_of_the_picture_is_inside(self) -> None:
        zone = ZoneCount(zones_of({"floor": (0, 0.5, 1, 0.5, 1, 1, 0, 1)})[0])
        zone.update(SIZE, standing_at((50, 100), (190, 100)))
        assert zone.now.total() == 2

    @settings(max_examples=60)
    @given(
        corners=st.lists(
            st.tuples(st.integers(0, 200), st.integers(0, 100)), min_size=3, max_size=7
        ),
        x=st.integers(0, 200),
        y=st.integers(0, 100),
    )
    def test_inside_is_what_shapely_says(
        self, corners: list[tuple[int, int]], x: int, y: int
    ) -> None:
        polygon = Polygon(corners)
        if not polygon.is_valid or not polygon.area or max(map(max, corners)) <= 1:
            return
        zone = ZoneCount(zones_of({"z": [v for corner in corners for v in corner]})[0])
        zone.update(SIZE, standing_at((x, y)))
        assert zone.now.total() == polygon.covers(Point(x, y))


def test_what_is_told(tmp_path: Path) -> None:
    lines = lines_of({"door": (100, 0, 100, 100)})
    zones = zones_of({"left": (0, 0, 100, 0, 100, 100, 0, 100)})
    counts = Counts(lines, zones, NAMES, tracked=True)
    assert counts
    for x in (50, 150):
        counts.update(SIZE, standing_at((x, 50), (200 - x, 60)))
    half = {"mean": 0.5, "max": 1, "distinct": 1}
    crossed = {"cat": {"in": 1, "out": 0}, "dog": {"in": 0, "out": 1}}
    assert counts.as_json() == {
        "lines": {"door": {"in": 1, "out": 1, "classes": crossed}},
        "zones": {
            "left": {"mean": 1.0, "max": 1, "distinct": 2, "classes": {"cat": half, "dog": half}}
        },
    }
    counts.write(tmp_path / "counts.csv")
    with (tmp_path / "counts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    classes = ("", "cat", "dog")
    assert [(row["kind"], row["class"]) for row in rows] == [
        *[("line", name) for name in classes],
        *[("zone", name) for name in classes],
    ]
    assert rows[1] == {
        "kind": "line", "name": "door", "class": "cat", "in": "1", "out": "0",
        "mean": "", "max": "", "distinct": "",
    }  # fmt: skip


def test_without_tracking_there_are_no_distinct_objects() -> None:
    counts = Counts([], zones_of({"z": (0, 0, 1, 0, 1, 1)}), NAMES, tracked=False)
    counts.update(SIZE, Detections.empty())
    assert counts.as_json()["zones"]["z"] == {"mean": 0.0, "max": 0, "classes": {}}
    assert not Counts([], [], NAMES, tracked=True)


@pytest.mark.parametrize(
    ("given_lines", "given_zones", "told"),
    [
        ({"a": (1, 2, 3)}, {}, "not made of pairs"),
        ({"a": (1, 2, 3, float("nan"))}, {}, "not made of pairs"),
        ({"a": (1, 2, 3, -4)}, {}, "none below 0"),
        ({"a": (1, 2, 1, 2)}, {}, "two ends"),
        ({"a": (1, 2, 3, 4, 5, 6)}, {}, "two ends"),
        ({}, {"b": (1, 2, 3, 4)}, "fewer than three corners"),
    ],
)
def test_regions_that_are_none(
    given_lines: dict[str, tuple[float, ...]], given_zones: dict[str, tuple[float, ...]], told: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        (lines_of(given_lines), zones_of(given_zones))
    assert caught.value.hint


def test_a_region_outside_of_the_picture() -> None:
    (line,) = lines_of({"door": (0, 0, 300, 50)})
    with pytest.raises(UsageError, match="'door' leaves the picture, which is 200x100"):
        line.on(SIZE)
