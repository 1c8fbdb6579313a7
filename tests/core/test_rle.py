"""Compressed run lengths, against pycocotools."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco

from detect_tl.core.geometry import bitmap_to_rle
from detect_tl.core.rle import decode_counts


@given(
    npst.arrays(
        np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1)
    )
)
@settings(max_examples=100)
def test_what_pycocotools_compresses_is_read_back(bitmap: np.ndarray) -> None:
    compressed = coco.encode(np.asfortranarray(bitmap))["counts"]
    assert tuple(decode_counts(compressed)) == bitmap_to_rle(bitmap).counts
    assert decode_counts(compressed.decode()) == decode_counts(compressed)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_long_runs_are_read_back(counts: list[int]) -> None:
    height, width = sum(counts), 1
    compressed = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    assert decode_counts(compressed["counts"]) == counts


@pytest.mark.parametrize("text", ["P", "o" * 30, "\n", "é", "0~"])
def test_damaged_strings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        decode_counts(text)


@given(st.binary(max_size=50))
def test_any_bytes_give_numbers_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        counts = decode_counts(data)
        assert all(isinstance(count, int) for count in counts)
