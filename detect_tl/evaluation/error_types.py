"""Why a model loses points: kinds of errors, and what each of them costs.

The kinds and their cost are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying
Object Detection Errors", ECCV 2020). An error costs what AP at IoU .50 would gain if every error of
its kind were mended by an oracle, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.overlaps import LEAST_IOU, Bools, Floats, Ints, Pairs
from detect_tl.evaluation.precision import area_under

ErrorKind = Literal["class", "location", "both", "duplicate", "background", "missed"]
KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)
MEANINGS: dict[ErrorKind, str] = {
    "class": "well placed on an object of another class",
    "location": "of the right class, but badly placed",
    "both": "badly placed on an object of another class",
    "duplicate": "on an object that a surer detection has found already",
    "background": "where there is no object",
    "missed": "objects that no detection, right or nearly right, is about",
}
_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """The errors of a model on a split.

    kind: (detections,) number of the kind in `KINDS`, -1 for a detection that is none.
    object: (detections,) the object that an error is about, -1 for none.
    missed: (objects,) the missed ones.
    ap50: of the model. cost: what every kind costs of it, in [0, 1]. false_positives,
    false_negatives: what all wrong detections, and all objects that were not found, cost.
    """

    kind: Ints
    object: Ints
    missed: Bools
    ap50: float
    cost: dict[ErrorKind, float]
    false_positives: float
    false_negatives: float

    @property
    def counts(self) -> dict[ErrorKind, int]:
        found = np.bincount(self.kind[self.kind >= 0], minlength=len(KINDS)).tolist()
        return dict(zip(KINDS, [*found[:-1], int(self.missed.sum())], strict=True))


def find_errors(matches: Matches) -> Errors:
    """Tell what kind of error each wrong detection is, and which objects are missed."""
    wrong = matches.wrong()
    kind, about = _kinds(matches, wrong)
    touched = np.zeros(len(matches.objects), bool)
    nearly = np.isin(kind, [KINDS.index("class"), KINDS.index("location")])
    touched[about[nearly]] = True
    missed = matches.missed() & ~touched
    ap50 = _ap(matches)
    cost = {name: _gain(ap50, _mended(matches, name, kind, about, missed)) for name in KINDS}
    return Errors(
        kind,
        about,
        missed,
        ap50,
        cost,
        false_positives=_gain(ap50, _ap(matches, keep=~wrong)),
        false_negatives=_gain(ap50, _ap(matches, without=matches.missed())),
    )


def _kinds(matches: Matches, wrong: Bools) -> tuple[Ints, Ints]:
    """The kind of every wrong detection, and the object that it is about.

    The first that holds, in the order of TIDE: location, class, duplicate, background, both.
    """
    objects, found = matches.objects, matches.found
    pairs = matches.pairs.where(~objects.crowd[matches.pairs.object])
    same = found.category[pairs.found] == objects.category[pairs.object]
    met = matches.met[0]
    used = np.zeros(len(objects), bool)
    used[met[met >= 0]] = True
    mate, mate_iou = _nearest(pairs.where(same), len(found))
    other, other_iou = _nearest(pairs.where(~same), len(found))
    taken, taken_iou = _nearest(pairs.where(same & used[pairs.object]), len(found))
    any_iou = np.maximum(mate_iou, other_iou)
    nothing = np.full(len(found), -1)
    kind, about = nothing.copy(), nothing.copy()
    left = wrong.copy()
    for name, holds, whose in (
        ("location", (mate_iou >= LEAST_IOU) & (mate_iou <= _IOU), mate),
        ("class", other_iou >= _IOU, other),
        ("duplicate", taken_iou >= _IOU, taken),
        ("background", any_iou <= LEAST_IOU, nothing),
        ("both", np.ones(len(found), bool), np.where(other_iou >= mate_iou, other, mate)),
    ):
        rows = left & holds
        kind[rows], about[rows] = KINDS.index(name), whose[rows]
        left &= ~rows
    return kind, about


def _nearest(pairs: Pairs, count: int) -> tuple[Ints, Floats]:
    """For every detection, the object that it overlaps most and by how much; -1 and 0 for none."""
    order = np.lexsort((-pairs.object, pairs.iou))  # of equals the first object is written last
    nearest, iou = np.full(count, -1), np.zeros(count)
    nearest[pairs.found[order]] = pairs.object[order]
    iou[pairs.found[order]] = pairs.iou[order]
    return nearest, iou


def _mended(matches: Matches, name: ErrorKind, kind: Ints, about: Ints, missed: Bools) -> float:
    """AP50 when an oracle has mended one kind of errors."""
    if name == "missed":
        return _ap(matches, without=missed)
    rows = np.flatnonzero(kind == KINDS.index(name))
    keep = np.ones(len(kind), bool)
    if name not in ("class", "location"):
        keep[rows] = False
        return _ap(matches, keep=keep)
    # Put on its object, the surest one is right; what comes too late is left out.
    right, category = matches.right().copy(), matches.found.category.copy()
    free = matches.missed()
    rank = np.empty(len(kind), np.int64)
    rank[matches.order] = np.arange(len(kind))
    for row in rows[np.argsort(rank[rows])].tolist():
        target = about[row]
        if free[target]:
            free[target] = False
            right[row], category[row] = True, matches.objects.category[target]
        else:
            keep[row] = False
    return _ap(matches, keep=keep, right=right, category=category)


def _ap(
    matches: Matches,
    *,
    keep: Bools | None = None,
    right: Bools | None = None,
    category: Ints | None = None,
    without: Bools | None = None,
) -> float:
    """Mean AP50, when some things were otherwise.

    keep: detections that are left. right, category: of the detections. without: objects that need
    not be found.
    """
    right = matches.right() if right is None else right
    category = matches.found.category if category is None else category
    counted = matches.counted[0] | right
    counted = counted if keep is None else counted & keep
    real = ~matches.objects.crowd
    there = real if without is None else real & ~without
    size = len(matches.names)
    totals = np.bincount(matches.objects.category[there], minlength=size)
    had = np.bincount(matches.objects.category[real], minlength=size)
    order = matches.order[counted[matches.order]]
    each = list(_of_categories(right[order], category[order], totals, had))
    return float(np.mean(each)) if each else float("nan")


def _of_categories(right: Bools, category: Ints, totals: Ints, had: Ints) -> Iterator[float]:
    for number in np.flatnonzero(had):
        if not totals[number]:  # everything that there is to find has been found
            yield 1.0
            continue
        places = np.flatnonzero(right[category == number])
        yield area_under(np.arange(1, len(places) + 1), places + 1, int(totals[number]))


def _gain(before: float, after: float) -> float:
    """An oracle can only help; what little an envelope of precision takes back is no cost."""
    return max(after - before, 0.0)
