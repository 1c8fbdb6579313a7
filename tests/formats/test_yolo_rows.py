"""Rows say the same numbers whichever way they are turned into text."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from detect_tl.formats.yolo.rows import _as_rows

inside = st.floats(0, 1) | st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e-9, 4.9999e-8, 1 - 1e-9])
rows = st.lists(
    st.tuples(st.integers(0, 1500), st.lists(inside, min_size=1, max_size=9)), max_size=5
)


def written(items: list[tuple[int, list[float]]]) -> list[bytes]:
    numbers = np.asarray([v for _, values in items for v in values], dtype=np.float64)
    lengths = np.asarray([len(values) for _, values in items], dtype=np.int64)
    return _as_rows([category for category, _ in items], numbers, lengths)


@given(items=rows)
def test_a_row_is_its_class_and_numbers_of_seven_digits(
    items: list[tuple[int, list[float]]],
) -> None:
    for row, (category, values) in zip(written(items), items, strict=True):
        assert row.endswith(b"\n")
        first, *others = row.split()
        assert int(first) == category
        assert [len(text) for text in others] == [9] * len(values)
        np.testing.assert_allclose([float(t) for t in others], values, rtol=0, atol=5.001e-8)


@given(items=rows.filter(bool), beyond=st.sampled_from([-0.25, 1.5, 1234.0]))
def test_numbers_beyond_the_image_are_written_as_they_are(
    items: list[tuple[int, list[float]]], beyond: float
) -> None:
    wide = written([*items, (3, [beyond, 0.5])])
    assert [float(text) for text in wide[-1].split()] == [3, beyond, 0.5]
    for row, (_, values) in zip(wide, items, strict=False):
        found = [float(text) for text in row.split()[1:]]
        np.testing.assert_allclose(found, values, rtol=0, atol=5.001e-8)
