"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.overlaps import Ints

_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """counts: (classes + 1, classes + 1) by truth (rows) and answer (columns).

    The last row holds detections where there is nothing, the last column objects that were missed.
    confidence: of every class; detections below it were left out.
    """

    names: tuple[str, ...]
    counts: Ints
    confidence: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "confidence": list(self.confidence),
            "counts": self.counts.tolist(),
        }


def confusion(matches: Matches, confidence: Sequence[float]) -> Confusion:
    """Pair detections and objects by overlap alone, the largest first, and count their classes.

    confidence: of every class, from which on a detection is looked at.
    Pairs overlap by half at least; everything has one partner at most. Detections in crowds, which
    count neither for nor against the model, stay out.
    """
    found, objects, pairs = matches.found, matches.objects, matches.pairs
    shown = (found.score >= np.asarray(confidence)[found.category]) & matches.counted[0]
    real = ~objects.crowd
    some = pairs.where((pairs.iou >= _IOU) & shown[pairs.found] & real[pairs.object])
    same = found.category[some.found] == objects.category[some.object]
    size = len(matches.names)
    counts = np.zeros((size + 1, size + 1), np.int64)
    free, unmet = shown.copy(), real.copy()
    # of pairs that overlap alike, those of one class come first
    for row in np.lexsort((~same, -some.iou)).tolist():
        mine, theirs = some.found[row], some.object[row]
        if free[mine] and unmet[theirs]:
            free[mine] = unmet[theirs] = False
            counts[objects.category[theirs], found.category[mine]] += 1
    counts[size, :size] = np.bincount(found.category[free], minlength=size)
    counts[:size, size] = np.bincount(objects.category[unmet], minlength=size)
    return Confusion(matches.names, counts, tuple(confidence))
