"""Which images need to be looked at object by object, found by arithmetic on columns.

Nearly all objects of nearly all data sets are sound. To find the others costs a few passes over
arrays; the careful work is then done on those few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import Flags, Groups, InstanceTable
from detect_tl.core.dataset import Sample
from detect_tl.core.geometry import PolygonMask, Size, boxes_iou
from detect_tl.core.model_spec import Task
from detect_tl.core.parallel import spread
from detect_tl.curate.rules import LEAST_OVERLAP

# Images looked at together: enough for numpy to be worth it, few enough for the cache.
_TOGETHER = 2_000

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


def suspicious(samples: Sequence[Sample], task: Task) -> Iterator[bool]:
    """Of every image, whether `repair` may have something to mend on it.

    False is certain: every box and outline is sound and inside, box and outline belong together,
    no object is there twice, and for "segment" every object has a mask.
    """
    batches = [
        (Groups(sample.instances for sample in some), [sample.size for sample in some], task)
        for some in (samples[k : k + _TOGETHER] for k in range(0, len(samples), _TOGETHER))
    ]
    for found in spread(_suspicious, batches):
        yield from found


def _suspicious(batch: tuple[Groups, Sequence[Size], Task]) -> list[bool]:
    groups, sizes, task = batch
    table, offsets = groups.columns()
    image_of = np.repeat(np.arange(len(sizes)), np.diff(offsets))
    size_of = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)[image_of]
    found = [_bad_boxes(table.box, size_of), _bad_outlines(table, size_of)]
    found += [_repeated(table, image_of), *([~table.masked] if task == "segment" else [])]
    flags: Flags = np.logical_or.reduce(found)
    flags[[row for row, mask in table.others.items() if isinstance(mask, PolygonMask)]] = True
    answer: list[bool] = np.isin(np.arange(len(sizes)), image_of[flags]).tolist()
    return answer


def _bad_boxes(box: _Floats, size: _Floats) -> Flags:
    """Boxes without an area, turned around, or beyond their image. Both (N, …)."""
    sound = (box[:, 2:] > box[:, :2]).all(axis=1) & (box[:, :2] >= 0).all(axis=1)
    flags: Flags = np.logical_not(sound & (box[:, 2:] <= size).all(axis=1))
    return flags


def _bad_outlines(table: InstanceTable, size: _Floats) -> Flags:
    """Outlines without an area or beyond their image, or far from the box of their object."""
    flags = np.zeros(len(table), dtype=np.bool_)
    outlined = np.flatnonzero(table.rings)
    if not len(outlined):
        return flags
    owner = np.repeat(outlined, table.rings[outlined])
    low, high = (f.reduceat(table.points, table.ring_start[:-1]) for f in (np.minimum, np.maximum))
    bad = (low < 0).any(axis=1) | (high > size[owner]).any(axis=1)
    bad |= (np.diff(table.ring_start) < 3) | (table.ring_areas() == 0)
    bad |= table.hole  # a hole does not widen the box; look closer
    flags[owner[bad]] = True
    first = table.first_ring[outlined]
    around = np.concatenate(
        [np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)], axis=1
    )
    flags[outlined] |= boxes_iou(table.box[outlined], around) < LEAST_OVERLAP * (1 + 1e-9)
    return flags


def _repeated(table: InstanceTable, image_of: _Ints) -> Flags:
    """Objects whose class and box another object of the image has, or seems to have."""
    columns = [image_of, table.category, *(table.box + 0.0).view(np.int64).T]
    key = np.zeros(len(table), dtype=np.uint64)
    for column in columns:
        # a multiplicative hash (Knuth): equal rows have equal keys, and hardly any others
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    order = np.argsort(key)
    again = np.flatnonzero(np.diff(key[order]) == 0)
    flags: Flags = np.zeros(len(table), dtype=np.bool_)
    flags[order[again]] = flags[order[again + 1]] = True
    return flags
