"""Checks of boxes and masks, one object at a time and in pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.columns import Rows, table_of
from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    RleMask,
    Size,
    box_iou,
    mask_box,
    ring,
    ring_area,
)
from detect_tl.core.masks import draw_mask
from detect_tl.curate.checks import Limits, Selection, check_dataset
from detect_tl.curate.checks.rings import Rings
from tests.formats.worlds import SIZES, masks

SIZE = Size(100, 80)
GOOD = Box(10, 10, 30, 30)
SQUARE = [10.0, 10, 30, 10, 30, 30, 10, 30]
BOW_TIE = [10.0, 10, 30, 30, 30, 10, 10, 30]
TOUCHING = [10.0, 10, 20, 20, 30, 10, 30, 30, 20, 20, 10, 30]


def one(*items: Instance, size: Size = SIZE) -> Dataset:
    sample = Sample(Path("a.jpg"), size, items, "train", Path("a.xml"))
    return Dataset((Category("cat"), Category("dog")), (sample,))


def codes(made: Dataset, *only: str, limits: Limits | None = None) -> dict[str, int]:
    selection = Selection(only or ("box", "mask", "class.unknown"))
    return check_dataset(made, decode=False, selection=selection, limits=limits).by_code()


def outlined(box: Box, *flat: list[float]) -> Instance:
    return Instance(0, box, PolygonMask(tuple(map(ring, flat))))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Instance(0, GOOD), {}),
        (outlined(GOOD, SQUARE), {}),
        (Instance(3, GOOD), {"class.unknown": "error"}),
        (Instance(-1, GOOD), {"class.unknown": "error"}),
        (Instance(0, Box(30, 10, 10, 30)), {"box.inverted": "warning"}),
        (Instance(0, Box(5, 5, 5, 20)), {"box.zero-area": "error"}),
        (Instance(0, Box(5, 5, 5.5, 20)), {"box.sub-pixel": "warning"}),
        (Instance(0, Box(-5, 0, 20, 20)), {"box.out-of-bounds": "warning"}),
        (Instance(0, Box(-0.5, 0, 100.9, 20)), {}),  # rounding
        (Instance(0, Box(100, 0, 120, 20)), {"box.outside": "error"}),
        (Instance(0, Box(0.2, 0.25, 0.75, 1)), {"box.fractions": "error"}),
        (Instance(0, Box(0, float("nan"), 9, 9)), {"box.not-finite": "error"}),
        (outlined(Box(60, 60, 90, 79), SQUARE), {"box.mask-mismatch": "warning"}),
        (outlined(GOOD, SQUARE, [1, 1, 2, 2]), {"mask.too-few-points": "warning"}),
        (outlined(GOOD, SQUARE, []), {"mask.too-few-points": "warning"}),
        (Instance(0, GOOD, PolygonMask(())), {"mask.too-few-points": "warning"}),
        (outlined(GOOD, SQUARE, [10, 10, 20, 20, 30, 30]), {"mask.zero-area": "warning"}),
        (outlined(GOOD, [*BOW_TIE[:4], 30, 12, 10, 30]), {"mask.self-crossing": "warning"}),
        (outlined(GOOD, TOUCHING), {}),
        (
            outlined(Box(-9, 10, 30, 30), [-9, 10, 30, 10, 30, 30]),
            {"box.out-of-bounds": "warning", "mask.out-of-bounds": "warning"},
        ),
        (Instance(0, GOOD, RleMask((10, 20, 8000), SIZE)), {"mask.wrong-runs": "error"}),
        (Instance(0, GOOD, RleMask((810, 20, 70), Size(30, 30))), {"mask.wrong-runs": "error"}),
    ],
)
def test_objects(item: Instance, expected: dict[str, str]) -> None:
    selection = Selection(("box", "mask", "class.unknown"), ("box.tiny",))
    mismatched = isinstance(item.mask, RleMask)
    report = check_dataset(one(item), decode=False, selection=selection)
    seen = {f.code: f.severity for f in report.findings}
    if mismatched:  # what cannot be drawn may lie anywhere
        seen.pop("box.mask-mismatch", None)
    assert seen == expected
    for finding in report.findings:
        assert "a.jpg" in finding.message
        assert (finding.path, finding.image) == (Path("a.xml"), Path("a.jpg"))
        assert finding.box is not None
        assert tuple(finding.box) == pytest.approx(tuple(item.box), nan_ok=True)


def test_messages_name_class_image_and_numbers() -> None:
    report = check_dataset(one(Instance(1, Box(-5, 0, 20, 90))), decode=False)
    (finding,) = (f for f in report.findings if f.code == "box.out-of-bounds")
    assert str(finding) == (
        "a.xml: dog in a.jpg: [-5, 0, 20, 90] leaves the 100x80 image by 10 pixels "
        "[box.out-of-bounds]"
    )


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([(0, GOOD), (0, GOOD)], {"box.duplicate": 1}),
        ([(0, GOOD), (0, GOOD), (0, GOOD)], {"box.duplicate": 2}),
        ([(0, GOOD), (1, GOOD)], {"box.several-classes": 1}),
        ([(0, GOOD), (0, GOOD), (1, GOOD)], {"box.duplicate": 1, "box.several-classes": 1}),
        ([(0, GOOD), (0, Box(10, 10, 30, 30.5))], {"box.near-duplicate": 1}),
        ([(0, GOOD), (1, Box(10, 10, 30, 30.5))], {"box.several-classes": 1}),
        ([(0, GOOD), (0, Box(10, 10, 30, 31.5))], {}),
        ([(0, GOOD), (0, Box(10, 40, 30, 60))], {}),
    ],
)
def test_pairs(items: list[tuple[int, Box]], expected: dict[str, int]) -> None:
    assert codes(one(*(Instance(k, box) for k, box in items))) == expected
    # the same on another image is nothing
    apart = [one(Instance(k, box)).samples[0] for k, box in items]
    assert codes(Dataset(one().categories, tuple(apart)), "box") == {}


def test_crowds_may_share_a_box() -> None:
    assert codes(one(Instance(0, GOOD, iscrowd=True), Instance(0, GOOD, iscrowd=True))) == {}


near = st.integers(0, 12).map(lambda k: k * 0.4)
boxes = st.builds(lambda x, y, w, h: Box(x, y, x + 15 + w, y + 15 + h), near, near, near, near)


@given(st.lists(st.tuples(st.integers(0, 1), boxes), max_size=12, unique=True))
@settings(max_examples=60, deadline=None)
def test_pairs_are_those_that_comparing_each_with_each_finds(items: list[tuple[int, Box]]) -> None:
    pairs = [
        (a[0] == b[0])
        for k, b in enumerate(items)
        for a in items[:k]
        if box_iou(a[1], b[1]) >= Limits().same_box
    ]
    found = codes(one(*(Instance(k, box) for k, box in items)), "box")
    assert found.get("box.near-duplicate", 0) == sum(pairs)
    assert found.get("box.several-classes", 0) == len(pairs) - sum(pairs)


def test_coordinates_that_count_from_one() -> None:
    edge = [Instance(0, Box(1, y, 20, y + 9)) for y in (1, 20, 40)]
    last = Instance(0, Box(50, 50, 100, 80))
    assert codes(one(*edge, last), "box.one-based") == {"box.one-based": 1}
    assert codes(one(*edge), "box.one-based") == {}
    assert codes(one(*edge, last, Instance(0, Box(0, 5, 9, 9))), "box.one-based") == {}
    assert codes(one(*edge, Instance(0, Box(50.5, 50, 100, 80))), "box.one-based") == {}


def test_fractions_are_no_habit_of_an_image_with_pixels_on_it() -> None:
    speck = Instance(0, Box(0.1, 0.1, 0.9, 0.9))
    assert codes(one(speck, Instance(0, GOOD))) == {"box.sub-pixel": 1}


def test_objects_that_scaling_makes_tiny() -> None:
    made = one(*(Instance(0, Box(x, 0, x + 30, 30)) for x in (0, 40, 80)), size=Size(2560, 1440))
    assert codes(made, "box.tiny") == {"box.tiny": 1}
    assert codes(made, "box.tiny", limits=Limits(imgsz=1280)) == {}
    large = [Instance(0, Box(x, 0, x + 99, 99)) for x in range(0, 1300, 100)]
    assert codes(one(*made.samples[0].instances, *large, size=Size(2560, 1440)), "box.tiny") == {}


@given(made=st.lists(st.sampled_from(SIZES).flatmap(masks), max_size=6), picked=st.booleans())
@settings(max_examples=40, deadline=None)
def test_rings_are_measured_as_each_alone(made: list[Mask], *, picked: bool) -> None:
    table = table_of(Instance(0, GOOD, mask) for mask in (*made, None))
    if picked:  # rows of a larger table, in another order
        order = np.arange(len(table))[::-1].copy()
        table, made = table.picked(order), made[::-1]
        made = [None, *made]  # type: ignore[list-item]
    rings = Rings.of(table)
    flat = [
        (k, r)
        for k, mask in enumerate(made)
        if isinstance(mask, PolygonMask)
        for r in (*mask.parts, *mask.holes)
    ]
    assert rings.owner.tolist() == [k for k, _ in flat]
    assert rings.areas == pytest.approx([ring_area(r) for _, r in flat])
    rows, around = rings.boxes_of_objects()
    there = {k: mask_box(mask) for k, mask in enumerate(made) if mask is not None}
    assert {k: tuple(b) for k, b in zip(rows.tolist(), around.tolist(), strict=True)} == {
        k: pytest.approx(tuple(box)) for k, box in there.items()
    }


def test_rows_of_a_table_are_checked_like_objects() -> None:
    items = [Instance(0, Box(-5, 0, 20, 20)), outlined(GOOD, BOW_TIE), Instance(0, GOOD)]
    whole = one(*items)
    table = table_of([Instance(1, GOOD), *items])
    sample = Sample(Path("a.jpg"), SIZE, Rows(table, 1, 4), "train", Path("a.xml"))
    rows = Dataset(whole.categories, (sample,))
    plain, tabled = (check_dataset(m, decode=False).findings for m in (whole, rows))
    assert plain == tabled
    assert {"box.out-of-bounds", "mask.self-crossing"} <= {f.code for f in plain}


def test_crossings_that_change_nothing_are_let_be() -> None:
    loop = [10.0, 10, 30, 10, 30, 20, 30.3, 20.3, 30.3, 20, 30, 20.3, 30, 30, 10, 30]
    assert codes(one(outlined(GOOD, loop)), "mask") == {}
    assert codes(one(outlined(GOOD, loop)), "mask", limits=Limits(crossing=1e-6)) == {
        "mask.self-crossing": 1
    }
    drawn = draw_mask(PolygonMask((ring(loop),)), SIZE)
    assert drawn.sum() == 400
