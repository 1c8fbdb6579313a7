"""Who met whom: every detection of a split against every object, as COCO matches them.

Libraries keep only the curves; intervals, error types, calibration and pictures of mistakes need
the meetings themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detect_tl.evaluation.overlaps import (
    Bools,
    Floats,
    Found,
    Ints,
    Kind,
    Objects,
    Pairs,
    overlaps,
)
from detect_tl.evaluation.precision import Ranking, rankings

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
_NOBODY = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections and objects of a split, and who met whom.

    names: of the categories. images: how many. order: (n,) of the detections, best first, ties as
    pycocotools has them. met: (thresholds, n) the object that a detection met, -1 for none.
    counted: (thresholds, n) whether a detection counts, for or against; one in a crowd does not.
    """

    names: tuple[str, ...]
    images: int
    objects: Objects
    found: Found
    pairs: Pairs
    order: Ints
    met: Ints
    counted: Bools
    thresholds: Floats

    @cached_property
    def objects_by_image(self) -> Ints:
        """(categories, images) objects that count."""
        counts = np.zeros((len(self.names), self.images), np.int64)
        real = ~self.objects.crowd
        np.add.at(counts, (self.objects.category[real], self.objects.image[real]), 1)
        return counts

    @cached_property
    def rankings(self) -> list[Ranking]:
        """One for every category."""
        return rankings(self)

    @cached_property
    def rows_by_category(self) -> list[Ints]:
        """Rows of the detections of every category, best first."""
        category = self.found.category[self.order]
        return [self.order[category == k] for k in range(len(self.names))]

    def right(self, threshold: int = 0) -> Bools:
        """(n,) detections that count and met an object; threshold: by number."""
        right: Bools = self.counted[threshold] & (self.met[threshold] >= 0)
        return right

    def wrong(self, threshold: int = 0) -> Bools:
        """(n,) detections that count against the model."""
        wrong: Bools = self.counted[threshold] & (self.met[threshold] < 0)
        return wrong

    def missed(self, threshold: int = 0) -> Bools:
        """(objects,) those that nothing met, crowds left out."""
        met = self.met[threshold]
        missed = ~self.objects.crowd
        missed[met[met >= 0]] = False
        return missed


def match(
    objects: Objects,
    found: Found,
    names: Sequence[str],
    *,
    images: int,
    kind: Kind = "bbox",
    max_det: int = 300,
    thresholds: Floats = THRESHOLDS,
) -> Matches:
    """Match detections with objects as COCO does, at every IoU threshold.

    In an image and a class, the detection with the highest score chooses first: the free object
    that it overlaps most, else a crowd. max_det: best detections of a class that count in an image.
    """
    found = _best(found, max_det)
    pairs = overlaps(objects, found, images, kind)
    order = np.lexsort((np.arange(len(found)), -found.score))
    priority = np.empty(len(found), np.int64)
    priority[order] = np.arange(len(found))
    same = found.category[pairs.found] == objects.category[pairs.object]
    mates = _by_preference(pairs.where(same), objects, priority)
    met = np.stack([_choose(mates.where(mates.iou >= t), objects, priority) for t in thresholds])
    counted = ~(objects.crowd[met] & (met >= 0)) if len(objects) else np.ones(met.shape, bool)
    return Matches(
        tuple(names), images, objects, found, pairs, order, met, counted, np.asarray(thresholds)
    )


def _best(found: Found, max_det: int) -> Found:
    """The best detections of each class in each image, in the order in which they came."""
    order = np.lexsort((np.arange(len(found)), -found.score, found.category, found.image))
    image, category = found.image[order], found.category[order]
    begins = np.ones(len(found), bool)
    begins[1:] = (image[1:] != image[:-1]) | (category[1:] != category[:-1])
    starts = np.flatnonzero(begins)
    lengths = np.diff([*starts, len(found)])
    rank = np.arange(len(found)) - np.repeat(starts, lengths)
    kept = np.sort(order[rank < max_det])
    if len(kept) == len(found):
        return found
    masks = None if found.masks is None else [found.masks[row] for row in kept]
    return Found(
        found.image[kept], found.category[kept], found.xywh[kept], found.score[kept], masks
    )


def _by_preference(pairs: Pairs, objects: Objects, priority: Ints) -> Pairs:
    """Sort so that the pairs of a detection lie together, the one that it prefers first."""
    crowd = objects.crowd[pairs.object]
    order = np.lexsort((-pairs.object, -pairs.iou, crowd, priority[pairs.found]))
    return Pairs(pairs.found[order], pairs.object[order], pairs.iou[order])


def _choose(pairs: Pairs, objects: Objects, priority: Ints) -> Ints:
    """The object of every detection, -1 for none, when the best detection chooses first.

    All choose at once, and an object stays with the best of those that want it; the others go on to
    their next wish, until nobody does. This ends as choosing one after the other does (the deferred
    acceptance of Gale and Shapley 1962), in a few steps over whole columns.
    """
    met = np.full(len(priority), -1, np.int64)
    detection_of = np.empty(len(priority), np.int64)
    detection_of[priority] = np.arange(len(priority))
    wish, end = np.zeros(len(priority), np.int64), np.zeros(len(priority), np.int64)
    asking, first, count = np.unique(priority[pairs.found], return_index=True, return_counts=True)
    asking = detection_of[asking]
    wish[asking], end[asking] = first, first + count
    holder = np.full(len(objects), _NOBODY)
    while len(asking):
        wanted = pairs.object[wish[asking]]
        crowd = objects.crowd[wanted]
        met[asking[crowd]] = wanted[crowd]  # a crowd takes them all
        asking, wanted = asking[~crowd], wanted[~crowd]
        before = holder[wanted]
        np.minimum.at(holder, wanted, priority[asking])
        won = holder[wanted] == priority[asking]
        met[asking[won]] = wanted[won]
        left = before[won]
        parted = detection_of[left[left != _NOBODY]]
        met[parted] = -1
        refused = np.concatenate([asking[~won], parted])
        wish[refused] += 1
        asking = refused[wish[refused] < end[refused]]
    return met
