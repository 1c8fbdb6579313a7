"""The rows of YOLO label files, those of many images at once.

A row is a class and numbers between 0 and 1. Turning numbers into text is most of the work, so
all numbers of a batch are turned at once, into text of one width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import InstanceTable, ranges
from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, Size, box_ring, rle_to_bitmap
from detect_tl.core.masks import join_rings, merged, outline
from detect_tl.core.model_spec import Task

# Seven digits are what the float32 of the trainer holds.
_DIGITS = 7

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


def rows_of(
    table: InstanceTable, offsets: _Ints, sizes: _Floats, task: Task, lost: Counter[str]
) -> Iterator[bytes]:
    """Yield the content of the label file of every image.

    offsets: (images + 1,), where the objects of an image begin. sizes: (images, 2), w and h.
    lost: what a row cannot say is counted in it.
    """
    image_of = np.repeat(np.arange(len(sizes)), np.diff(offsets))
    kept = np.flatnonzero(~table.crowd)
    _count(lost, "yolo-crowds", len(table) - len(kept))
    _count(lost, "yolo-attributes", sum(not table.crowd[row] for row in table.attributes))
    size = sizes[image_of]
    if task == "segment":
        points, lengths = _outlines(table, kept, size, lost)
        numbers = (points / np.repeat(size[kept], lengths, axis=0)).reshape(-1)
        lengths = lengths * 2
    else:
        _count(lost, "yolo-outlines", int(table.masked[kept].sum()))
        corner, far = table.box[kept, :2], table.box[kept, 2:]
        centre_and_size = np.concatenate([(corner + far) / 2, far - corner], axis=1)
        numbers = (centre_and_size / np.tile(size[kept], 2)).reshape(-1)
        lengths = np.full(len(kept), 4)
    rows = _as_rows(table.category[kept].tolist(), numbers, lengths)
    ends = np.searchsorted(kept, offsets).tolist()
    for start, stop in pairwise(ends):
        yield b"".join(rows[start:stop])


def _count(lost: Counter[str], kind: str, number: int) -> None:
    if number:
        lost[kind] += number


def _as_rows(categories: Sequence[int], numbers: _Floats, lengths: _Ints) -> list[bytes]:
    """`class number number …` with a line break, for every object. lengths: numbers of each."""
    if not categories:
        return []
    if ((numbers < 0) | (numbers > 1)).any():  # of a data set that was not mended
        wide = (
            b" ".join(b"%.*f" % (_DIGITS, v) for v in some)
            for some in np.split(numbers, np.cumsum(lengths)[:-1])
        )
        return [b"%d %s\n" % pair for pair in zip(categories, wide, strict=True)]
    ends = np.cumsum(lengths) * _WIDTH
    starts = (ends - lengths * _WIDTH).tolist()
    text = _as_text(numbers)
    text[ends - 1] = ord("\n")
    content = text.tobytes()
    return [
        b"%d %s" % (category, content[start:end])
        for category, start, end in zip(categories, starts, ends.tolist(), strict=True)
    ]


def _as_text(numbers: _Floats) -> NDArray[np.uint8]:
    """`0.1234567 ` for every number between 0 and 1: digits are looked up four at a time."""
    whole = np.rint(numbers * 10**_DIGITS).astype(np.uint32)
    found = np.empty((len(whole), 2), dtype=_HIGH.dtype)
    found[:, 0] = _HIGH[whole // 10_000]
    found[:, 1] = _LOW[whole % 10_000]
    return found.view(np.uint8).reshape(-1)


# Seven digits behind the point: "0.123" of the first four of eight, "4567 " of the others.
_WIDTH = 10
_HIGH = np.asarray([b"%d.%03d" % divmod(k, 1000) for k in range(1001)]).view("V5")
_LOW = np.asarray([b"%04d " % k for k in range(10_000)]).view("V5")


def _outlines(
    table: InstanceTable, kept: _Ints, size: _Floats, lost: Counter[str]
) -> tuple[_Floats, _Ints]:
    """One outline for every object that is kept: all their points, and how many each has."""
    ring = table.first_ring[kept]
    simple = table.rings[kept] == 1
    simple[simple] = ~table.hole[ring[simple]]
    lengths = np.zeros(len(kept), dtype=np.int64)
    lengths[simple] = table.ring_start[ring[simple] + 1] - table.ring_start[ring[simple]]
    others = {
        place: _outline(table, int(kept[place]), Size(*map(int, size[kept[place]])), lost)
        for place in np.flatnonzero(~simple).tolist()
    }
    for place, points in others.items():
        lengths[place] = len(points)
    starts = np.cumsum(lengths) - lengths
    found = np.empty((int(lengths.sum()), 2))
    here, there = starts[simple], table.ring_start[ring[simple]]
    found[ranges(here, lengths[simple])] = table.points[ranges(there, lengths[simple])]
    for place, points in others.items():
        found[starts[place] : starts[place] + len(points)] = points
    return found, lengths


def _outline(table: InstanceTable, row: int, size: Size, lost: Counter[str]) -> Ring:
    mask: Mask | None = table.mask(row)
    box = Box(*table.box[row].tolist())
    if mask is None:
        lost["yolo-outlines-from-boxes"] += 1
        return box_ring(box)
    if not isinstance(mask, PolygonMask):
        lost["yolo-run-lengths"] += 1
        mask = outline(rle_to_bitmap(mask))
        if not mask.parts:
            return box_ring(box)
    if len(mask.parts) > 1:
        lost["yolo-joined-parts"] += 1
    if mask.holes:
        lost["yolo-joined-holes"] += 1
    apart = merged(mask, size)
    if apart is not mask:
        lost["yolo-merged-parts"] += 1
    return join_rings(apart)
