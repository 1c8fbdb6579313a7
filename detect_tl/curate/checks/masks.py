"""Checks of outlines, and of boxes against the outlines of their own objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import ranges
from detect_tl.core.geometry import Box, RleMask, boxes_iou
from detect_tl.core.words import counted
from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.objects import note_at
from detect_tl.curate.checks.rings import Index, Rings
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.rules import show

# Rings that one thread takes at once.
_BLOCK = 20_000


@check(
    "box.mask-mismatch",
    "warning",
    "Box and mask teach different places. Conversion takes the box from the mask.",
    "box_of_mask",
)
def box_off_mask(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box that does not belong to the mask of its own object."""
    rows, around = snapshot.rings.boxes_of_objects()
    off = boxes_iou(snapshot.boxes[rows], around) < limits.box_of_mask
    for row, box in sorted(zip(rows[off].tolist(), around[off].tolist(), strict=True)):
        text = f"box {show(snapshot.box(row))} does not fit its mask, {show(Box(*box))}"
        yield note_at(snapshot, row, text)


@check(
    "mask.too-few-points",
    "warning",
    "It covers nothing and is left out; what it was meant to cover is background then.",
)
def too_few_points(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An outline of fewer than three points."""
    del limits
    rings = snapshot.rings
    flagged = rings.lengths < 3
    found = list(zip(rings.owner[flagged].tolist(), rings.lengths[flagged].tolist(), strict=True))
    for row, mask in rings.shapeless():
        found += [(row, len(r)) for r in (*mask.parts, *mask.holes) if len(r) < 3]
        if not mask.parts:
            found.append((row, 0))
    for row, count in sorted(found):
        yield note_at(snapshot, row, f"an outline of {counted(count, 'point')}")


@check(
    "mask.zero-area",
    "warning",
    "It covers nothing and is left out; what it was meant to cover is background then.",
)
def zero_area(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An outline without an area, though it has points enough."""
    del limits
    rings = snapshot.rings
    flagged = (rings.lengths >= 3) & (rings.areas == 0)
    for row, count in zip(rings.owner[flagged], rings.lengths[flagged], strict=True):
        yield note_at(snapshot, int(row), f"an outline of {count} points has no area")


@check(
    "mask.self-crossing",
    "warning",
    "Programs differ on what lies inside it; a part may be cut out, or count as nothing.",
    "crossing",
)
def self_crossing(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An outline that crosses itself, so that fill rules disagree on a part of its area."""
    for ring, share, where in _crossings(snapshot):
        if share > limits.crossing:
            row = int(snapshot.rings.owner[ring])
            text = (
                f"its outline crosses itself at {where}, and programs differ on {share:.0%} of it"
            )
            yield note_at(snapshot, row, text)


@check(
    "mask.out-of-bounds",
    "warning",
    "Ultralytics drops the whole image; conversion cuts the outline at the border.",
    "border",
)
def out_of_bounds(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An outline that leaves its image by more than rounding."""
    rows, around = snapshot.rings.boxes_of_objects()
    sizes = snapshot.sizes[snapshot.owner[rows]]
    beyond = np.maximum((-around[:, :2]).max(axis=1), (around[:, 2:] - sizes).max(axis=1))
    for place in sorted(np.flatnonzero(beyond > limits.border), key=rows.__getitem__):
        row = int(rows[place])
        w, h = snapshot.sample_of(row).size
        yield note_at(
            snapshot, row, f"its outline leaves the {w}x{h} image by {beyond[place]:.0f} pixels"
        )


@check(
    "mask.wrong-runs",
    "error",
    "The mask cannot be drawn, or lies beside its object: conversion refuses it.",
)
def wrong_runs(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Run lengths that do not add up to their size, or are of another size than the image."""
    del limits
    for row, mask in sorted(snapshot.table.others.items()):
        if not isinstance(mask, RleMask):
            continue
        total, size = sum(mask.counts), snapshot.sample_of(row).size
        w, h = mask.size
        if total != w * h or min(mask.counts, default=0) < 0:
            yield note_at(snapshot, row, f"run lengths add up to {total}, the mask is {w}x{h}")
        elif mask.size != size:
            text = f"the mask is {w}x{h}, the image {size.width}x{size.height}"
            yield note_at(snapshot, row, text)


def _crossings(snapshot: Snapshot) -> Iterator[tuple[int, float, str]]:
    """Rings that are no simple outlines, the share of the area in doubt, and where they cross.

    The even-odd rule leaves out what an outline goes around twice, and the shoelace formula
    subtracts a loop that runs the other way; for an outline that only touches itself both agree.
    """
    rings = snapshot.rings
    usable = np.flatnonzero((rings.lengths >= 3) & _finite(snapshot))
    blocks = np.split(usable, range(_BLOCK, len(usable), _BLOCK))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for found in pool.map(lambda block: _crossings_of(rings, block), blocks):
            yield from found


def _crossings_of(rings: Rings, block: Index) -> list[tuple[int, float, str]]:
    import shapely

    counts = rings.lengths[block]
    points = rings.points[ranges(rings.start[block], counts)]
    lines = shapely.linearrings(points, indices=np.repeat(np.arange(len(block)), counts))
    outlines = shapely.polygons(lines)
    broken = np.flatnonzero(~shapely.is_valid(outlines))
    even = shapely.area(shapely.make_valid(outlines[broken], method="linework"))
    shoelace = rings.areas[block[broken]]
    shares = np.abs(even - shoelace) / np.maximum(np.maximum(even, shoelace), 1e-9)
    places = map(_place, shapely.is_valid_reason(outlines[broken]).tolist())
    return list(zip(block[broken].tolist(), shares.tolist(), places, strict=True))


def _finite(snapshot: Snapshot) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(snapshot.rings.boxes).all(axis=1))


def _place(reason: str) -> str:
    """ "(12.5, 30)" out of GEOS's "Self-intersection[12.5 30]"."""
    numbers = reason.partition("[")[2].rstrip("]").split()
    return f"({', '.join(f'{float(number):g}' for number in numbers)})"


CHECKS = (box_off_mask, too_few_points, zero_area, self_crossing, out_of_bounds, wrong_runs)
