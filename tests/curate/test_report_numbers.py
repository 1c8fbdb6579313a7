"""The numbers behind the plots, and what is shown for a finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.columns import Rows, table_of
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Box, PolygonMask, Size, box_ring
from detect_tl.curate.evidence import MOST_PICTURES, MOST_PICTURES_IN_ALL, evidence, region
from detect_tl.curate.figures import Bar, figures
from tests.formats.makers import image

SIZE = Size(200, 100)


def of_boxes(*boxes: Box, size: Size = SIZE) -> Dataset:
    items = tuple(Instance(0, box) for box in boxes)
    return Dataset((Category("a"),), (Sample(Path("a.jpg"), size, items),))


def counts(bars: tuple[Bar, ...]) -> dict[str, int]:
    return {bar.label: bar.count for bar in bars if bar.count}


def test_lengths_are_roots_of_shares_of_the_image() -> None:
    made = figures(of_boxes(Box(0, 0, 200, 100), Box(0, 0, 20, 10), Box(5, 5, 6, 6)))
    # 1/1 of the side, 1/10, and the root of 1/20000
    assert counts(made.lengths) == {"64%": 1, "8%": 1, "<1%": 1}


def test_ratios_are_sorted_from_tall_to_wide() -> None:
    boxes = [Box(0, 0, w, h) for w, h in ((5, 50), (20, 60), (50, 50), (60, 40), (90, 10))]
    assert counts(figures(of_boxes(*boxes)).ratios) == {
        "<1:8": 1, "1:2": 1, "1:1": 1, "5:4": 1, ">8:1": 1,
    }  # fmt: skip


@given(st.lists(st.integers(0, 70), min_size=1, max_size=20))
def test_images_by_number_of_objects(numbers: list[int]) -> None:
    one = of_boxes(Box(0, 0, 5, 5)).samples[0]
    samples = tuple(replace(one, instances=one.instances * n) for n in numbers)
    bars = figures(Dataset((Category("a"),), samples)).per_image
    assert sum(bar.count for bar in bars) == len(numbers)
    for bar in bars:
        low, _, high = bar.label.partition("–")
        inside = [n for n in numbers if int(low) <= n <= int(high or low)]
        assert bar.count == len(inside)


floats = st.floats(-30, 230) | st.just(float("nan")) | st.just(float("inf"))


@given(st.lists(st.tuples(floats, floats, floats, floats), max_size=8))
@settings(max_examples=60)
def test_heat_is_the_share_of_boxes_over_a_place(corners: list[tuple[float, ...]]) -> None:
    boxes = [Box(*values) for values in corners]
    made = figures(of_boxes(*boxes))
    expected = np.zeros((24, 24))
    unmeasured = 0
    for box in boxes:
        finite = Box(*(v if np.isfinite(v) else 0.0 for v in box))
        x1, y1, x2, y2 = finite.clipped(SIZE)
        if x2 <= x1 or y2 <= y1:
            unmeasured += 1
            continue
        for row in range(24):
            for column in range(24):
                left, right = column * 200 / 24, (column + 1) * 200 / 24
                top, bottom = row * 100 / 24, (row + 1) * 100 / 24
                expected[row, column] += x1 < right and x2 > left and y1 < bottom and y2 > top
    assert np.asarray(made.heat) == pytest.approx(expected / max(expected.max(), 1), abs=1e-9)
    assert made.unmeasured == unmeasured
    assert sum(bar.count for bar in made.lengths) == len(boxes) - unmeasured
    assert sum(bar.count for bar in made.ratios) == len(boxes) - unmeasured


def test_sizes_of_images_the_frequent_first() -> None:
    samples = tuple(Sample(Path("a"), Size(10 * (k // 2), 7)) for k in range(1, 24))
    made = figures(Dataset((), samples))
    assert [bar.count for bar in made.sizes] == [2] * 8
    assert made.more_sizes == 4
    assert made.sizes[0].label == "10 × 7"


@given(st.lists(st.integers(0, 4), max_size=6), st.randoms(use_true_random=False))
def test_objects_in_columns_give_the_same_figures(lengths: list[int], chance: Random) -> None:
    boxes = [
        Box(x, y, x + chance.uniform(1, 60), y + chance.uniform(1, 60))
        for x, y in ((chance.uniform(0, 150), chance.uniform(0, 80)) for _ in range(sum(lengths)))
    ]
    items = [Instance(0, box) for box in boxes]
    table = table_of(items)
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    pairs = list(zip(starts, lengths, strict=True))
    chance.shuffle(pairs)  # rows need not follow one another
    plain = [Sample(Path("a"), SIZE, tuple(items[a : a + n])) for a, n in pairs]
    columns = [
        sample if chance.random() < 0.2 else replace(sample, instances=Rows(table, a, a + n))
        for sample, (a, n) in zip(plain, pairs, strict=True)
    ]
    made = [figures(Dataset((Category("a"),), tuple(s))) for s in (plain, columns)]
    assert made[0] == made[1]


def test_an_empty_data_set_has_figures() -> None:
    made = figures(Dataset((), ()))
    assert made.per_image == made.sizes == ()
    assert sum(map(sum, made.heat)) == 0


@given(*[st.floats(-500, 900, allow_nan=False)] * 4)
def test_a_view_holds_the_box_and_some_of_the_image(
    x1: float, y1: float, x2: float, y2: float
) -> None:
    box = Box(x1, y1, x2, y2)
    view = region(box, SIZE)
    assert view.clipped(SIZE).area > 0
    assert view.width <= 3 * SIZE.width
    assert view.height <= 3 * SIZE.height
    if min(x1, x2) >= 0 and max(x1, x2) <= 200 and min(y1, y2) >= 0 and max(y1, y2) <= 100:
        assert view.x1 <= min(x1, x2) <= max(x1, x2) <= view.x2
        assert view.y1 <= min(y1, y2) <= max(y1, y2) <= view.y2
        assert view.clipped(SIZE) == view


def test_without_a_box_the_whole_image_is_shown() -> None:
    assert region(None, SIZE) == Box(0, 0, 200, 100)


def findings(folder: Path, count: int, code: str = "a.b") -> list[Finding]:
    photo = folder / "a.jpg"
    return [
        Finding(code, "warning", f"{k}", photo, k + 1, photo, Box(10, 10, 50, 50))
        for k in range(count)
    ]


def test_pictures_are_limited_by_kind_and_in_all(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg", tuple(SIZE))
    many = [f for k in range(30) for f in findings(tmp_path, 9, f"kind.k{k:02}")]
    groups = evidence(many, Dataset((), ()))
    assert [len(g.pictures) for g in groups[:2]] == [MOST_PICTURES] * 2
    assert groups[0].more_pictures == len(groups[0].unpictured) == 9 - MOST_PICTURES
    assert sum(len(g.pictures) for g in groups) == MOST_PICTURES_IN_ALL
    assert groups[-1].unpictured == groups[-1].shown


def test_pictures_come_from_many_images(tmp_path: Path) -> None:
    photos = [image(tmp_path / f"{k}.jpg", tuple(SIZE)) for k in range(3)]
    found = [Finding("a.b", "error", "x", p, None, p) for p in photos for _ in range(5)]
    names = [p["name"] for p in evidence(found, Dataset((), ()))[0].pictures]
    assert names[:3] == ["0.jpg", "1.jpg", "2.jpg"]
    assert len(names) == MOST_PICTURES


def test_relative_names_are_seen_from_the_root(tmp_path: Path) -> None:
    image(tmp_path / "sub" / "a.jpg", tuple(SIZE))
    found = [Finding("image.grey", "info", "x", Path("sub/a.jpg"))]
    group = evidence(found, Dataset((), ()), tmp_path)[0]
    assert group.pictures[0]["name"] == "a.jpg"
    assert group.consequence
    gone = Finding("a", "info", "x", Path("gone.jpg"))
    assert evidence([gone], Dataset((), ()))[0].pictures == ()


def test_the_outline_of_the_object_is_drawn_with_its_box(tmp_path: Path) -> None:
    photo = image(tmp_path / "a.jpg", tuple(SIZE))
    box = Box(10, 10, 50, 50)
    wrong = Instance(0, box, PolygonMask((box_ring(Box(60, 20, 190, 90)),)))
    other = Instance(0, Box(1, 1, 5, 5), PolygonMask((box_ring(Box(1, 1, 5, 5)),)))
    made = Dataset((Category("a"),), (Sample(photo, SIZE, (other, wrong)),))
    shot = evidence(findings(tmp_path, 1), made)[0].pictures[0]
    assert [o["path"] for o in shot["objects"]] == ["M60.0,20.0 190.0,20.0 190.0,90.0 60.0,90.0Z"]
    assert shot["view"].x2 >= 190
    assert shot["box"] == box
