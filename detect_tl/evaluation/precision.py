"""Average precision of matched detections, fast enough to be computed a thousand times.

It equals pycocotools' to the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detect_tl.evaluation.overlaps import Floats, Ints

if TYPE_CHECKING:
    from detect_tl.evaluation.matching import Matches

RECALLS: Floats = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The detections of a category, best first: all that its average precision depends on.

    image: (n,) of every detection. right: for every threshold, the places of those that are right.
    skipped: likewise, of those that do not count.
    """

    image: Ints
    right: tuple[Ints, ...]
    skipped: tuple[Ints, ...]

    def ap(self, weights: Ints, total: int) -> list[float]:
        """AP over 101 recalls at every threshold.

        weights: (images,) how often each image is there. total: objects to find.

        Recall changes only where a detection is right, and precision is highest there.
        """
        times = weights[self.image]
        seen = np.cumsum(times)
        found = []
        for right, skipped in zip(self.right, self.skipped, strict=True):
            among = seen[right]
            if len(skipped):
                passed = np.concatenate([[0], np.cumsum(times[skipped])])
                among = among - passed[np.searchsorted(skipped, right)]
            found.append(area_under(np.cumsum(times[right]), among, total))
        return found


def rankings(matches: Matches) -> list[Ranking]:
    """One for every category."""
    thresholds = range(len(matches.thresholds))
    found = []
    for rows in matches.rows_by_category:
        counted, met = matches.counted[:, rows], matches.met[:, rows] >= 0
        right = tuple(np.flatnonzero(counted[t] & met[t]) for t in thresholds)
        skipped = tuple(np.flatnonzero(~counted[t]) for t in thresholds)
        found.append(Ranking(matches.found.image[rows], right, skipped))
    return found


def average_precision(matches: Matches, weights: Ints | None = None) -> Floats:
    """(thresholds, categories) AP over 101 recalls; NaN for a category without objects.

    weights: (images,) how often each image is there, as a bootstrap draws them; None: once.
    """
    once = np.ones(matches.images, np.int64)
    ap = np.full((len(matches.thresholds), len(matches.names)), np.nan)
    times = once if weights is None else weights
    totals = matches.objects_by_image @ times
    for category in np.flatnonzero(totals):
        ap[:, category] = matches.rankings[category].ap(times, int(totals[category]))
    return ap


def area_under(right: Ints, among: Ints, total: int) -> float:
    """AP over 101 recalls, from running counts at the right detections, best first.

    right: how many are right so far. among: of how many. total: objects to find.
    """
    if not len(right):
        return 0.0
    precision = right / np.maximum(among, np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / total, RECALLS, side="left")
    return float(precision[places[places < len(precision)]].sum() / len(RECALLS))


def mean_ap(ap: Floats) -> float:
    """Mean over thresholds and over the categories that have objects; NaN where none has."""
    defined = ap[~np.isnan(ap)]
    return float(defined.mean()) if defined.size else float("nan")
