"""Columns stand for exactly the objects that were put in."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.columns import Groups, Rows, gathered, kinds_of, ranges, stacked, table_of
from detect_tl.core.dataset import (
    Category,
    Dataset,
    Instance,
    Sample,
    categories_of,
    renumber,
)
from detect_tl.core.geometry import Box, PolygonMask, Ring, RleMask, Size, signed_ring_area
from tests.formats.worlds import SIZES, instances

empty = st.just(Instance(1, Box(1, 2, 3, 4), PolygonMask(()), attributes={"a": 1}))
objects = instances(SIZES[0], 3, masked=True) | instances(SIZES[0], 3, masked=False) | empty
groups = st.lists(st.lists(objects, max_size=4), max_size=5)
laws = settings(max_examples=40, deadline=None)


@laws
@given(items=st.lists(objects, max_size=6))
def test_what_goes_in_comes_out(items: list[Instance]) -> None:
    rows = Rows(table_of(items), 0, len(items))
    assert list(rows) == items
    assert [rows[k] for k in range(len(items))] == items
    assert rows[1:-1] == tuple(items[1:-1])
    assert rows == tuple(items)
    assert tuple(items) == tuple(rows)
    assert categories_of(rows) == categories_of(items)
    outlines = [r for i in items if isinstance(i.mask, PolygonMask) for r in rings_of(i.mask)]
    areas = [signed_ring_area(ring) for ring in outlines]
    assert rows.table.ring_areas() == pytest.approx(areas)
    assert rows.table.masked.tolist() == [item.mask is not None for item in items]


@laws
@given(parts=groups)
def test_stacking_is_concatenation(parts: list[list[Instance]]) -> None:
    table = stacked([table_of(part) for part in parts])
    assert list(Rows(table, 0, len(table))) == [item for part in parts for item in part]


@laws
@given(parts=groups, data=st.data())
def test_gathering_keeps_groups_apart_wherever_they_live(
    parts: list[list[Instance]], data: st.DataObject
) -> None:
    table = table_of([item for part in parts for item in part])
    ends = np.cumsum([0, *map(len, parts)]).tolist()
    given_as = [
        Rows(table, a, b) if data.draw(st.booleans()) else tuple(part)
        for part, a, b in zip(parts, ends, ends[1:], strict=False)
    ]
    order = data.draw(st.permutations(range(len(parts))))
    found, offsets = gathered([given_as[k] for k in order])
    assert offsets.tolist() == np.cumsum([0, *(len(parts[k]) for k in order)]).tolist()
    assert list(Rows(found, 0, len(found))) == [item for k in order for item in parts[k]]


@laws
@given(items=st.lists(objects, min_size=2, max_size=6), data=st.data())
def test_picked_rows_share_their_rings_and_travel_alone(
    items: list[Instance], data: st.DataObject
) -> None:
    table = table_of(items)
    order = data.draw(st.permutations(range(len(items))))
    picked = table.picked(np.asarray(order))
    assert picked.points is table.points
    assert list(Rows(picked, 0, len(picked))) == [items[k] for k in order]
    alone = picked.compact()
    assert list(Rows(alone, 0, len(alone))) == [items[k] for k in order]
    travelled = pickle.loads(pickle.dumps(Rows(picked, 1, 2)))  # noqa: S301 - our own bytes
    assert travelled == (items[order[1]],)
    assert len(travelled.table) == 1


@laws
@given(parts=groups)
def test_columns_and_tuples_make_the_same_data_set(parts: list[list[Instance]]) -> None:
    names = tuple(Category(name) for name in "abc")
    loose = Dataset(names, tuple(sample(part) for part in parts))
    table, offsets = gathered([tuple(part) for part in parts])
    ends = offsets.tolist()
    rows = [Rows(table, a, b) for a, b in itertools.pairwise(ends)]
    columns = Dataset(names, tuple(sample(part) for part in rows))
    assert columns == loose
    assert columns.natural_task == loose.natural_task
    assert columns.has_masks == loose.has_masks
    assert columns.objects_per_class() == loose.objects_per_class()
    turned = ["c", "a", "b"]
    assert renumber(columns, turned) == renumber(loose, turned)


def test_a_category_in_use_cannot_be_left_out() -> None:
    table = table_of([Instance(0, Box(0, 0, 1, 1))])
    dataset = Dataset((Category("a"), Category("b")), (sample(Rows(table, 0, 1)),))
    with pytest.raises(KeyError, match="a"):
        renumber(dataset, ["b"])
    assert renumber(dataset, ["a"]).names == ["a"]


def test_run_lengths_stay_what_they_are() -> None:
    item = Instance(0, Box(0, 0, 1, 1), RleMask((3, 1), Size(2, 2)), iscrowd=True)
    assert Rows(table_of([item]), 0, 1)[0] == item


@given(counts=st.lists(st.integers(0, 4), max_size=6), data=st.data())
def test_ranges_are_ranges(counts: list[int], data: st.DataObject) -> None:
    first = data.draw(st.lists(st.integers(0, 9), min_size=len(counts), max_size=len(counts)))
    wanted = [k for f, n in zip(first, counts, strict=True) for k in range(f, f + n)]
    found = ranges(np.asarray(first, dtype=np.int64), np.asarray(counts, dtype=np.int64))
    assert found.tolist() == wanted


def sample(items: object) -> Sample:
    from collections.abc import Sequence
    from pathlib import Path

    assert isinstance(items, Sequence)
    kept = tuple(items) if isinstance(items, list) else items
    return Sample(Path("a.png"), SIZES[0], kept)


def rings_of(mask: PolygonMask) -> tuple[Ring, ...]:
    return (*mask.parts, *mask.holes)


@laws
@given(parts=groups, data=st.data())
def test_groups_travel_as_columns_and_kinds_are_those_of_the_objects(
    parts: list[list[Instance]], data: st.DataObject
) -> None:
    tables = [table_of(part) for part in parts]
    loose = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    held = Groups(
        part if is_loose else Rows(table, 0, len(part))
        for part, table, is_loose in zip(parts, tables, loose, strict=True)
    )
    arrived = pickle.loads(pickle.dumps(held))  # noqa: S301 - our own
    assert [list(group) for group in arrived] == parts
    masked, crowd = kinds_of(held)
    items = [item for part in parts for item in part]
    assert masked.tolist() == [item.mask is not None for item in items]
    assert crowd.tolist() == [item.iscrowd for item in items]
