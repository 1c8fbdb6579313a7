"""The order in which images are best labelled: what a model is unsure of, and has not seen alike.

An image teaches the more, the less sure the model is of what it finds there, and the less it looks
like what is labelled already. The two are multiplied, and images taken one by one, each counting as
labelled for those after it (k-centre greedy of Sener and Savarese 2018, weighted by uncertainty as
in BADGE of Ash et al. 2020, but without its dice): the first N are the same whatever N is, and a
copy of an image teaches nothing. Where a model finds nothing at all it doubts nothing, and such
images come last, the most unlike the others first.

On BCCD the product gained nothing over chance, doubt alone a little. mAP50-95 on val after 40, 60
and 80 labels: .441, .451, .454 by the product, .440, .451, .464 by looks, .444, .470, .479 by
doubt, .456, .464, .464 at random, and .464 by 100 at random (`tools/bench_label.py`: 20 at random
first, yolo11n at 192 pixels, 75 steps of 4 images behind a frozen backbone; means of 3 seeds, which
lie up to .06 apart). Its fields of blood cells are all of a kind, and so short a training learns no
more from 100 of them than from 60. What this is worth where pictures differ is not measured.
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
    Time grows with the square of n: 3,000 images of 256 features take some seconds.
    """
    n, m = len(features), len(labelled)
    # how far each image is from what is labelled so far; without anything, all are equally far
    far, near = np.full(n, np.inf if m else 1.0), np.full(n, NOBODY, np.int64)
    for place, other in enumerate(labelled):
        _approach(far, near, features, other, place)
    distance, nearest, order = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    waiting = np.ones(n, np.bool_)
    for step in range(n):
        best = _best(uncertainty, far, waiting)
        order[step], waiting[best] = best, False
        distance[best], nearest[best] = far[best], near[best]
        if not m and not step:
            distance[best] = np.nan
            far[:] = np.inf
        _approach(far, near, features, features[best], m + best)
    return Ranking(order, uncertainty, distance, nearest)


def _best(uncertainty: Floats, far: Floats, waiting: NDArray[np.bool_]) -> int:
    """The place of the waiting image that teaches most."""
    gain = np.where(waiting, uncertainty * far, -1.0)
    ties = np.flatnonzero(gain == gain.max())
    return int(ties[np.lexsort((-far[ties], -uncertainty[ties]))[0]])


def _approach(far: Floats, near: Ints, features: Floats, other: Floats, name: int) -> None:
    """Shorten distances, in place, to an image that has just been labelled."""
    apart = features - other
    found = np.sqrt(np.einsum("nd,nd->n", apart, apart))
    nearer = found < far
    far[nearer] = found[nearer]
    near[nearer] = name
