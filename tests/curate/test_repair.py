"""What has one right answer is mended, and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    Size,
    bitmap_to_rle,
    box_ring,
    mask_area,
    mask_box,
    ring,
)
from detect_tl.curate.checks import check_dataset
from detect_tl.curate.repair import plan_repair

SIZE = Size(100, 80)
GOOD = Box(10, 10, 30, 30)
# What has one right answer. Two objects may share a box when their outlines differ.
MENDED = {
    "box.inverted",
    "box.mask-mismatch",
    "box.out-of-bounds",
    "box.outside",
    "box.zero-area",
    "mask.out-of-bounds",
    "mask.too-few-points",
    "mask.zero-area",
}


def dataset(*items: Instance, names: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    sample = Sample(Path("a.jpg"), SIZE, items, "train", Path("a.xml"))
    return Dataset(tuple(Category(name) for name in names), (sample,))


def boxed(*corners: float) -> Instance:
    return Instance(0, Box(*corners))


def outlined(*rings: list[float], box: Box | None = None) -> Instance:
    mask = PolygonMask(tuple(ring(flat) for flat in rings))
    return Instance(0, box or mask_box(mask), mask)


@pytest.mark.parametrize(
    ("item", "box", "changed", "lost", "code"),
    [
        (boxed(10, 10, 30, 30), GOOD, "", "", ""),
        (boxed(30, 10, 10, 30), GOOD, "boxes-turned-right", "", "box.inverted"),
        (boxed(-5, 10, 30, 200), Box(0, 10, 30, 80), "boxes-clipped", "", "box.out-of-bounds"),
        (boxed(-0.5, 10, 30, 30), Box(0, 10, 30, 30), "boxes-clipped", "", ""),
        (boxed(5, 5, 5, 20), None, "", "zero-area-boxes", "box.zero-area"),
        (boxed(5, 5, 5, 5), None, "", "zero-area-boxes", "box.zero-area"),
        (boxed(200, 5, 300, 20), None, "", "objects-outside-image", "box.outside"),
    ],
)
def test_boxes(item: Instance, box: Box | None, changed: str, lost: str, code: str) -> None:
    plan = plan_repair(dataset(item))
    assert [i.box for i in plan.dataset.instances()] == ([] if box is None else [box])
    assert plan.report.changed == ({changed: 1} if changed else {})
    assert plan.report.lost == ({lost: 1} if lost else {})
    assert [f.code for f in plan.report.findings] == ([code] if code else [])
    assert all(f.path == Path("a.xml") and "a.jpg" in f.message for f in plan.report.findings)


def test_polygons_are_clipped_and_not_bent() -> None:
    plan = plan_repair(dataset(outlined([-10, 0, 10, 0, -10, 20])))
    (item,) = plan.dataset.instances()
    assert item.mask is not None
    assert mask_area(item.mask) == pytest.approx(50)
    assert item.box == Box(0, 0, 10, 20)
    assert plan.report.changed == {"boxes-clipped": 1, "outlines-clipped": 1}


def test_outlines_without_an_area_go_and_the_object_stays() -> None:
    plan = plan_repair(dataset(outlined([1, 1, 2, 2], [10, 10, 30, 10, 30, 30]), outlined([5, 5])))
    first = next(plan.dataset.instances())
    assert isinstance(first.mask, PolygonMask)
    assert len(first.mask.parts) == 1
    assert plan.report.changed["outlines-dropped"] == 2
    assert plan.report.lost == {"zero-area-boxes": 1}  # the point has no box either


def test_a_box_that_does_not_fit_its_outline_is_taken_from_it() -> None:
    item = outlined([10, 10, 30, 10, 30, 30, 10, 30], box=Box(60, 60, 90, 79))
    plan = plan_repair(dataset(item))
    assert next(plan.dataset.instances()).box == GOOD
    assert plan.report.changed == {"boxes-taken-from-mask": 1}


def test_a_box_a_little_off_its_outline_is_left_to_its_author() -> None:
    item = outlined([10, 10, 30, 10, 30, 30, 10, 30], box=Box(9, 9, 31, 31))
    assert plan_repair(dataset(item)).dataset == dataset(item)


def test_an_object_that_is_there_twice_goes_once() -> None:
    first, second = (outlined([0, 0, 20, 0, y, 20]) for y in (0, 20))
    plan = plan_repair(dataset(boxed(*GOOD), first, boxed(*GOOD), second, first))
    assert list(plan.dataset.instances()) == [boxed(*GOOD), first, second]
    assert plan.report.lost == {"repeated-objects": 2}
    assert plan.report.count("box.duplicate") == 2


def test_run_lengths_are_left_alone() -> None:
    mask = bitmap_to_rle(np.eye(80, 100, dtype=np.uint8))
    made = dataset(Instance(0, GOOD, mask, iscrowd=True))
    assert plan_repair(made, "segment").dataset == made


def test_names_that_differ_in_case_or_spaces_become_the_most_frequent() -> None:
    items = [Instance(k, Box(0, 0, 9, place)) for place, k in enumerate((0, 1, 1, 3), 1)]
    made = dataset(*items, names=("rbc", "RBC", "wbc", " Rbc ", "unused"))
    plan = plan_repair(made)
    assert plan.dataset.objects_per_class() == {"RBC": 4, "wbc": 0, "unused": 0}
    assert plan.report.changed == {"classes-merged": 2}
    assert plan.report.count("class.case-variant") == 2


def test_for_segmentation_every_object_gets_an_outline() -> None:
    plan = plan_repair(dataset(Instance(0, GOOD), outlined([0, 0, 9, 0, 9, 9])), "segment")
    first, second = plan.dataset.instances()
    assert first.mask == PolygonMask((box_ring(GOOD),))
    assert second.mask is not None
    assert plan.report.changed == {"boxes-made-outlines": 1}


coordinates = st.floats(-200, 300, allow_nan=False)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=6).map(
    lambda points: ring(np.asarray(points).reshape(-1))
)


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    box = Box(*draw(st.tuples(*[coordinates] * 4)))
    parts = tuple(draw(st.lists(rings, max_size=3)))
    return Instance(draw(st.integers(0, 1)), box, PolygonMask(parts) if parts else None)


@given(st.lists(instances(), max_size=4), st.sampled_from(["detect", "segment"]))
@settings(max_examples=80, deadline=None)
def test_what_is_repaired_passes_the_checks_and_stays_as_it_is(
    items: list[Instance], task: str
) -> None:
    made = dataset(*items)
    plan = plan_repair(made, task)
    again = plan_repair(plan.dataset, task)
    assert not again.report.lost
    boxes = [i.box for i in plan.dataset.instances()]
    for item, box in zip(again.dataset.instances(), boxes, strict=True):
        assert tuple(item.box) == pytest.approx(tuple(box))
    found = check_dataset(plan.dataset, decode=False).by_code()
    assert not MENDED & set(found)
    kept = len(boxes) + sum(plan.report.lost.values())
    assert kept == len(items)
