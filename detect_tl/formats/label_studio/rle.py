"""The run lengths in which Label Studio stores what a brush has painted.

They are the "rle-pack" of the umbrella libraries (thi.ng), over the bytes of an RGBA picture, row
by row; alpha tells what is painted. A stream of bits, the highest of a byte first, holds

- the number of words in 32 bits, the bits of a word less one in 5, and four widths of a length
  less one in 4 bits each,
- then blocks: a bit that tells whether one word is repeated, two that choose one of the widths,
  the length less one in so many bits, and the word, or as many words as the length says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import Box, RleMask, Size
from detect_tl.formats.label_image import MOST_PIXELS
from detect_tl.formats.records import bitmap_box, placed_bitmap

_CHANNELS = 4
_WORD = 8
_WIDTHS = (3, 4, 8, 16)
_LONGEST = 1 << _WIDTHS[-1]
# Bytes that hold any number of up to 32 bits, wherever in a byte it begins.
_WINDOW = 5


def decode_brush(values: Any, size: Size) -> tuple[Box, RleMask]:
    """What is painted on an image of `size` pixels, and the box around it.

    values: the stream as a list of bytes. Raises ValueError, TypeError or OverflowError when it
    is damaged, belongs to a picture of another size, or paints nothing.
    """
    if not isinstance(values, list):
        raise ValueError("its run lengths are no list")
    width, height = size
    if min(size) <= 0 or width * height > MOST_PIXELS:
        raise ValueError(f"a mask of {width}x{height} pixels is refused")
    painted = np.zeros(width * height, np.uint8)
    for first, filled in _blocks(_Bits(bytes(values)), painted.size * _CHANNELS):
        painted[first : first + len(filled)] |= filled
    return _placed(painted.reshape(height, width), size)


def _placed(bitmap: NDArray[np.uint8], size: Size) -> tuple[Box, RleMask]:
    box = bitmap_box(bitmap, 0, 0)
    left, top, right, bottom = (int(v) for v in box)
    return box, placed_bitmap(bitmap[top:bottom, left:right], left, top, size)


class _Bits:
    """Numbers read off a stream of bits; ValueError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def read(self, width: int) -> int:
        byte, offset = divmod(self._skip(width), 8)
        window = self._data[byte : byte + _WINDOW].ljust(_WINDOW, b"\0")
        return (int.from_bytes(window) >> (_WINDOW * 8 - offset - width)) & ((1 << width) - 1)

    def read_set(self, count: int, width: int) -> NDArray[np.bool_]:
        """Of so many numbers, whether each is other than 0."""
        byte, offset = divmod(self._skip(count * width), 8)
        part = np.frombuffer(self._data[byte : byte + (offset + count * width + 7) // 8], np.uint8)
        bits = np.unpackbits(part)[offset : offset + count * width]
        found: NDArray[np.bool_] = bits.reshape(count, width).max(axis=1) != 0
        return found

    def _skip(self, width: int) -> int:
        here = self._place
        self._place += width
        if self._place > len(self._data) * 8:
            raise ValueError("its run lengths are cut off")
        return here


def _blocks(bits: _Bits, expected: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The first pixel and the pixels of every block that paints any; 1 is painted."""
    total = bits.read(32)
    if total != expected:
        raise ValueError(f"its run lengths are of {total} values, the image has {expected}")
    word = bits.read(5) + 1
    widths = [bits.read(4) + 1 for _ in range(4)]
    here = 0
    while here < total:
        repeated = bits.read(1)
        length = bits.read(widths[bits.read(2)]) + 1
        if here + length > total:
            raise ValueError("its run lengths leave the image")
        # Pixel p has its alpha at 4 p + 3.
        first, last = here // _CHANNELS, (here + length) // _CHANNELS
        if repeated:
            if bits.read(word):
                yield first, np.ones(last - first, np.uint8)
        else:
            values = bits.read_set(length, word)
            yield first, values[_CHANNELS - 1 - here % _CHANNELS :: _CHANNELS].astype(np.uint8)
        here += length


def encode_brush(bitmap: NDArray[np.uint8]) -> list[int]:
    """The stream of an (height, width) array, non-zero painted, as a list of bytes."""
    flat = bitmap.reshape(-1) != 0
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))) * _CHANNELS
    painted = bool(flat[0])
    bits = [f"{flat.size * _CHANNELS:032b}{_WORD - 1:05b}"]
    bits += [f"{width - 1:04b}" for width in _WIDTHS]
    for run in runs.tolist():
        value = f"{255 if painted else 0:0{_WORD}b}"
        bits += (_repeat(length) + value for length in _portions(run))
        painted = not painted
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8))


def _portions(length: int) -> Iterator[int]:
    while length > _LONGEST:
        yield _LONGEST
        length -= _LONGEST
    yield length


def _repeat(length: int) -> str:
    """The beginning of a block that repeats one word, in the smallest width that fits."""
    choice = next(k for k, width in enumerate(_WIDTHS) if length <= 1 << width)
    return f"1{choice:02b}{length - 1:0{_WIDTHS[choice]}b}"
