"""The run lengths of a brush, against a reader that follows their definition bit by bit."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from detect_tl.core.geometry import Size, rle_to_bitmap
from detect_tl.formats.label_studio.rle import decode_brush, encode_brush

WIDTHS = (3, 4, 8, 16)


def unpacked(values: list[int]) -> list[int]:
    """All words of a stream."""
    bits = "".join(f"{value:08b}" for value in values)
    place = 0

    def number(width: int) -> int:
        nonlocal place
        place += width
        return int(bits[place - width : place], 2)

    total, word = number(32), number(5) + 1
    widths = [number(4) + 1 for _ in range(4)]
    words: list[int] = []
    while len(words) < total:
        repeated, choice = number(1), number(2)
        length = number(widths[choice]) + 1
        words += [number(word)] * length if repeated else [number(word) for _ in range(length)]
    return words


def packed(words: list[int], word: int = 8) -> list[int]:
    """A stream with repeats for runs and, as tools write them, the rest as it stands."""
    bits = f"{len(words):032b}{word - 1:05b}" + "".join(f"{w - 1:04b}" for w in WIDTHS)
    runs = [list(members) for _, members in groupby(words)]
    for alone, members in groupby(runs, key=lambda run: len(run) == 1):
        if alone:
            single = [run[0] for run in members]
            for start in range(0, len(single), 16):
                part = single[start : start + 16]
                bits += f"001{len(part) - 1:04b}" + "".join(f"{v:0{word}b}" for v in part)
            continue
        for run in members:
            bits += f"111{len(run) - 1:016b}{run[0]:0{word}b}"
    bits += "0" * (8 - len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


@st.composite
def bitmaps(draw: st.DrawFn) -> NDArray[np.uint8]:
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 30))
    row = st.lists(st.integers(0, 1), min_size=width, max_size=width)
    rows = draw(st.lists(row, min_size=height, max_size=height))
    return np.asarray(rows, np.uint8)


def size_of(bitmap: NDArray[np.uint8]) -> Size:
    height, width = bitmap.shape
    return Size(width, height)


@settings(max_examples=60, deadline=None)
@given(bitmap=bitmaps())
def test_what_is_written_says_what_was_painted(bitmap: NDArray[np.uint8]) -> None:
    words = np.asarray(unpacked(encode_brush(bitmap))).reshape(*bitmap.shape, 4)
    assert ((words == 255) == (bitmap[..., None] == 1)).all()


@settings(max_examples=60, deadline=None)
@given(bitmap=bitmaps(), colour=st.tuples(*[st.integers(0, 255)] * 3), alpha=st.integers(1, 255))
def test_alpha_alone_tells_what_is_painted(
    bitmap: NDArray[np.uint8], colour: tuple[int, int, int], alpha: int
) -> None:
    if not bitmap.any():
        return
    rgba = np.dstack([np.broadcast_to(c, bitmap.shape) for c in colour] + [bitmap * alpha])
    box, mask = decode_brush(packed(rgba.reshape(-1).tolist()), size_of(bitmap))
    assert (rle_to_bitmap(mask) == bitmap).all()
    ys, xs = np.nonzero(bitmap)
    assert box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def test_long_runs_are_divided() -> None:
    bitmap = np.ones((300, 400), np.uint8)
    bitmap[250, 7] = 0
    _, mask = decode_brush(encode_brush(bitmap), size_of(bitmap))
    assert (rle_to_bitmap(mask) == bitmap).all()


def test_words_of_another_width() -> None:
    _, mask = decode_brush(packed([0, 0, 0, 0, 0, 0, 0, 300, 9, 9, 9, 0], word=12), Size(3, 1))
    assert rle_to_bitmap(mask).tolist() == [[0, 1, 0]]


WHOLE = encode_brush(np.ones((8, 10), np.uint8))


@pytest.mark.parametrize(
    ("values", "size", "words"),
    [
        (WHOLE[:-1], Size(10, 8), "cut off"),
        (WHOLE[:3], Size(10, 8), "cut off"),
        ([], Size(10, 8), "cut off"),
        (WHOLE, Size(10, 9), "are of 320 values, the image has 360"),
        (encode_brush(np.zeros((8, 10), np.uint8)), Size(10, 8), "empty"),
        (WHOLE, Size(100_000, 100_000), "is refused"),
        (WHOLE, Size(0, 8), "is refused"),
        ([300], Size(10, 8), "range"),
        (1_000_000_000, Size(10, 8), "no list"),
        (packed([1] * 8)[:6] + [255] * 9, Size(2, 1), "leave the image"),
    ],
)
def test_a_damaged_stream_is_refused(values: object, size: Size, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_brush(values, size)
