"""Annotations that are taken straight from the text are those that are taken one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.columns import Rows
from detect_tl.formats.coco.records import Chunk, _Parsing, parse_records

CATEGORIES = {1: 0, 7: 1, "x": 2}
PLAIN = '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [[]]}]'

numbers = st.integers(-5, 900) | st.floats(-1e6, 1e6)
odd = st.sampled_from([None, True, "3", "]", [], [1], {}, {"a": [2]}, [[1]], -1, 7.0])
rings = st.lists(numbers, max_size=8)
segmentations = (
    st.lists(rings, max_size=3)
    | st.lists(st.lists(numbers | odd, max_size=6) | odd, max_size=2)
    | st.just({"size": [4, 5], "counts": [3, 17]})
    | odd
)
plain = st.fixed_dictionaries(
    {
        "image_id": st.integers(1, 3),
        "category_id": st.sampled_from([1, 7]),
        "bbox": st.lists(numbers, min_size=4, max_size=4),
        "segmentation": st.lists(
            st.lists(numbers, min_size=3, max_size=4).map(lambda half: half + half), max_size=3
        ),
    },
    optional={"iscrowd": st.integers(0, 1), "area": numbers, "id": numbers},
)
unusual = st.fixed_dictionaries(
    {},
    optional={
        "image_id": st.integers(1, 3) | st.just("x") | odd,
        "category_id": st.sampled_from([1, 7, "x", 8]) | odd,
        "bbox": st.lists(numbers | odd, max_size=5) | odd,
        "segmentation": segmentations,
        "iscrowd": st.integers(0, 1) | odd,
        "score": numbers | st.just(10**30),
        "attributes": st.dictionaries(st.sampled_from("ab"), odd, max_size=2),
    },
)


def same(a: Chunk, b: Chunk) -> bool:
    return (
        list(Rows(a.table, 0, len(a.table))) == list(Rows(b.table, 0, len(b.table)))
        and a.image_ids == b.image_ids
        and a.problems == b.problems
        and a.count == b.count
    )


@settings(max_examples=400, deadline=None)
@given(records=st.lists(plain | unusual | odd, max_size=5))
def test_both_ways_agree_or_one_declines(records: list[Any]) -> None:
    try:
        found = _Parsing(CATEGORIES).plainly(json.dumps(records).encode())
    except (ValueError, TypeError, RuntimeError):
        return
    assert same(found, parse_records(records, CATEGORIES))


@given(records=st.lists(plain, max_size=5))
def test_plain_ones_are_not_declined(records: list[Any]) -> None:
    found = _Parsing(CATEGORIES).plainly(json.dumps(records).encode())
    assert same(found, parse_records(records, CATEGORIES))


@pytest.mark.parametrize(
    "segmentation",
    [
        "[[[1], 2, 3, 4, 5, 6]]",  # as many numbers as a ring, but nested deeper
        "[[1, 2, 3, 4, 5, [6]]]",
        '[[1, 2, 3, 4, 5, "]"]]',
        "[[1, 2, 3, 4, 5, 1e999]]",
    ],
)
def test_what_only_looks_like_a_ring_is_declined(segmentation: str) -> None:
    text = PLAIN.replace("[[]]", segmentation)
    with pytest.raises((ValueError, TypeError)):
        _Parsing(CATEGORIES).plainly(text.encode())


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    text = PLAIN.replace('{"', '{"image_id": 2, "').replace("[[]]", "[]")
    found = _Parsing(CATEGORIES).plainly(text.encode())
    assert same(found, parse_records(json.loads(text), CATEGORIES))
