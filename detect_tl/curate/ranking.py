"""The order in which images are best labelled: what a model is unsure of, and has not seen alike.

An image teaches the more, the less sure the model is of what it finds there, and the less it looks
like what is labelled already. The two are multiplied, and images taken one by one, each counting as
labelled for those after it (k-centre greedy of Sener and Savarese 2018, weighted by uncertainty as
in BADGE of Ash et al. 2020, but without its dice): the first N are the same whatever N is, and a
copy of an image teaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_SCORE = 0.05
"""What a detector is less sure of than this is noise, and no object that it doubts."""

NOBODY = -1
"""The nearest of an image when nothing was labelled before it."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Images in the order in which they are best labelled.

    order: (n,) places of the images, the most instructive first. uncertainty: (n,) by place.
    distance: (n,) by place, how far the nearest image was that was labelled before it, in units of
    the features; NaN for the first when nothing was. nearest: (n,) by place, which one that was:
    0 to m - 1 of those labelled from the start, m + place of the others, or `NOBODY`.
    """

    order: Ints
    uncertainty: Floats
    distance: Floats
    nearest: Ints


def doubt(score: NDArray[np.floating]) -> Floats:
    """How unsure scores are: the entropy in bits of a coin that falls so, 1 at a half.

    score: any shape, in [0, 1].
    """
    p = np.asarray(score, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.where((p > 0) & (p < 1), bits, 0.0)


def class_doubts(found: Detections, classes: int) -> Floats:
    """The doubt about the objects of each class in one image, summed (Brust et al. 2019)."""
    doubts = np.bincount(found.class_id, weights=doubt(found.score), minlength=classes)
    return doubts.astype(np.float64)  # without objects, they are whole numbers


def in_doubt(found: Detections, names: Sequence[str]) -> dict[str, int]:
    """How many objects of each class are more in doubt than not, classes without any left out."""
    rows = found.class_id[doubt(found.score) >= 0.5]
    counts = np.bincount(rows, minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def uncertainties(doubts: Floats) -> Floats:
    """One number for every image, from its doubt about each class, (n, classes) as summed.

    Classes count alike, however many objects they have, as they do in mAP: a class is divided by
    its mean over all images.
    """
    means = doubts.mean(axis=0) if len(doubts) else np.ones(doubts.shape[1])
    shares = np.divide(doubts, means, out=np.zeros_like(doubts), where=means > 0)
    return np.asarray(shares.sum(axis=1) / max(int((means > 0).sum()), 1), np.float64)


def rank(uncertainty: Floats, features: Floats, labelled: Floats) -> Ranking:
    """Order images by what a label would teach, see above.

    uncertainty: (n,), 0 or more. features: (n, d), what images look like; near means alike.
    labelled: (m, d), of images that are labelled already; m may be 0.
    Neither scale matters. Ties go to the more uncertain, the farther, and the earlier, in turn.
    """
    n, m = len(features), len(labelled)
    distance = np.full(n, np.inf)
    nearest = np.full(n, NOBODY, np.int64)
    for place, other in enumerate(labelled):
        _approach(distance, nearest, features, other, place)
    waiting = np.ones(n, bool)
    order = np.empty(n, np.int64)
    for step in range(n):
        rows = np.flatnonzero(waiting)
        # without anything labelled, all are equally far
        far = np.ones(len(rows)) if not m and step == 0 else distance[rows]
        sure = uncertainty[rows]
        best = rows[np.lexsort((rows, -far, -sure, -sure * far))[0]]
        order[step] = best
        waiting[best] = False
        ahead = distance[waiting], nearest[waiting]
        _approach(*ahead, features[waiting], features[best], m + int(best))
        distance[waiting], nearest[waiting] = ahead
    return Ranking(order, uncertainty, np.where(nearest == NOBODY, np.nan, distance), nearest)


def _approach(distance: Floats, nearest: Ints, features: Floats, other: Floats, name: int) -> None:
    """Shorten distances, in place, to an image that has just been labelled."""
    found = np.sqrt(((features - other) ** 2).sum(axis=1))
    nearer = found < distance
    distance[nearer] = found[nearer]
    nearest[nearer] = name
