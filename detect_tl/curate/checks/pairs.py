"""Checks of boxes that cover each other: one object, annotated more than once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import boxes_iou
from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.objects import note_at, notes_at
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.rules import show

Index = NDArray[np.int64]


@check(
    "box.duplicate",
    "warning",
    "In evaluation one of the two is always a miss; some trainers count the object twice.",
)
def duplicate(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Two objects of one class with the same box."""
    del limits
    yield from notes_at(
        snapshot, ~_first_ones(snapshot), lambda row: f"{show(snapshot.box(row))} is there twice"
    )


@check(
    "box.near-duplicate",
    "warning",
    "Training counts the object twice; in evaluation one of the two is always a miss.",
    "same_box",
)
def near_duplicate(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Two objects of one class with nearly the same box."""
    for a, b, iou in _same_place(snapshot, limits.same_box):
        if snapshot.category[a] == snapshot.category[b]:
            text = f"{show(snapshot.box(b))} covers {show(snapshot.box(a))} with IoU {iou:.2f}"
            yield note_at(snapshot, b, text)


@check(
    "box.several-classes",
    "warning",
    "Training pulls one place towards both, unless the one class contains the other.",
    "same_box",
)
def several_classes(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Two objects of different classes with the same box, or nearly."""
    for a, b, iou in _same_place(snapshot, limits.same_box):
        if snapshot.category[a] != snapshot.category[b]:
            text = f"{show(snapshot.box(b))} is also annotated as {snapshot.label(a)}"
            near = f" (IoU {iou:.2f})" if iou < 1 else ""
            yield note_at(snapshot, b, text + near)


def _first_ones(snapshot: Snapshot) -> NDArray[np.bool_]:
    """(N,) whether no object before has the same image, class and box; crowds are left out."""
    first = np.ones(len(snapshot.boxes), dtype=np.bool_)
    rows = np.flatnonzero(~snapshot.table.crowd & snapshot.finite)
    if not len(rows):
        return first
    columns = (*snapshot.boxes[rows].T[::-1], snapshot.category[rows], snapshot.owner[rows])
    order = np.lexsort(columns)  # stable: of equal objects the first comes first
    table = np.stack(columns, axis=1)[order]
    first[rows[order[1:][(table[1:] == table[:-1]).all(axis=1)]]] = False
    return first


def _same_place(snapshot: Snapshot, least: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of objects of one image whose boxes overlap so much, in their order, with the IoU."""
    rows = np.flatnonzero(_first_ones(snapshot) & ~snapshot.table.crowd & snapshot.proper)
    found = list(_overlapping(snapshot.boxes[rows], snapshot.owner[rows], least))
    pairs = np.concatenate([p for p, _ in found]) if found else np.zeros((0, 2), dtype=np.int64)
    overlaps = np.concatenate([o for _, o in found]) if found else np.zeros(0)
    pairs = np.sort(rows[pairs], axis=1)
    for place in np.lexsort((pairs[:, 0], pairs[:, 1])).tolist():
        yield int(pairs[place, 0]), int(pairs[place, 1]), float(overlaps[place])


def _overlapping(
    boxes: NDArray[np.float64], owner: Index, least: float
) -> Iterator[tuple[Index, NDArray[np.float64]]]:
    """(K, 2) pairs of boxes of one owner with an IoU of at least `least`, and (K,) their IoU.

    Boxes are put in the order of their left edges; each is compared with the one 1, 2, 3, … places
    further on, until all left edges are too far away for such an overlap.
    """
    order = np.lexsort((boxes[:, 0], owner))
    boxes, owner = boxes[order], owner[order]
    # An IoU of t needs left edges within (1 - t) of the wider width, which is at most 1/t of this.
    reach = boxes[:, 0] + (boxes[:, 2] - boxes[:, 0]) * (1 - least) / least
    here = np.arange(len(boxes))
    step = 0
    while len(here):
        step += 1
        here = here[here + step < len(boxes)]
        there = here + step
        close = (owner[here] == owner[there]) & (boxes[there, 0] <= reach[here])
        here, there = here[close], there[close]
        overlaps = boxes_iou(boxes[here], boxes[there])
        much = overlaps >= least
        yield np.stack([order[here[much]], order[there[much]]], axis=1), overlaps[much]


CHECKS = (duplicate, near_duplicate, several_classes)
