"""Objects and detections of a split in columns, and which of them overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detect_tl.evaluation.truth import Rle

Kind = Literal["bbox", "segm"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Overlaps below this play no part in anything.
LEAST_IOU = 0.1
_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of a split, in the order of their images.

    image: (n,) index of the image. category: (n,). xywh: (n, 4) pixels. crowd: (n,) regions in
    which nothing is judged. masks: packed run lengths, None for boxes.
    """

    image: Ints
    category: Ints
    xywh: Floats
    crowd: Bools
    masks: Sequence[Rle] | None = None

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The detections of a split, in the order of their images; columns as those of `Objects`.

    score: (n,) in [0, 1].
    """

    image: Ints
    category: Ints
    xywh: Floats
    score: Floats
    masks: Sequence[Rle] | None = None

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Detections and objects of the same image that overlap by `LEAST_IOU` at least.

    found, object: rows of these. iou: (n,); for a crowd, the covered share of the detection.
    """

    found: Ints
    object: Ints
    iou: Floats

    def where(self, keep: Bools) -> Pairs:
        return Pairs(self.found[keep], self.object[keep], self.iou[keep])


def overlaps(objects: Objects, found: Found, images: int, kind: Kind) -> Pairs:
    """All pairs that overlap, of any classes. images: how many there are."""
    make = _of_boxes if kind == "bbox" else _of_masks
    parts = list(make(objects, found, images))
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    columns = zip(*((part.found, part.object, part.iou) for part in parts), strict=True)
    return Pairs(*(np.concatenate(column) for column in columns))


def _of_boxes(objects: Objects, found: Found, images: int) -> Iterator[Pairs]:
    objects_of = np.searchsorted(objects.image, np.arange(images + 1))
    first, count = objects_of[:-1][found.image], np.diff(objects_of)[found.image]
    before = np.concatenate([[0], np.cumsum(count)])
    start = 0
    while start < len(found):
        stop = int(np.searchsorted(before, before[start] + _PAIRS_AT_ONCE, side="right")) - 1
        rows = np.arange(start, max(stop, start + 1))
        each = count[rows]
        left = np.repeat(rows, each)
        place = np.arange(len(left)) - np.repeat(before[rows] - before[start], each)
        right = np.repeat(first[rows], each) + place
        iou = _box_iou(found.xywh[left], objects.xywh[right], objects.crowd[right])
        keep = iou >= LEAST_IOU
        yield Pairs(left[keep], right[keep], iou[keep])
        start = int(rows[-1]) + 1


def _box_iou(found: Floats, objects: Floats, crowd: Bools) -> Floats:
    """IoU row by row, in the order of operations of pycocotools, so that the bits are the same."""
    low = np.maximum(found[:, :2], objects[:, :2])
    high = np.minimum(found[:, :2] + found[:, 2:], objects[:, :2] + objects[:, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[:, 0] * sides[:, 1]
    own = found[:, 2] * found[:, 3]
    union = np.where(crowd, own, own + objects[:, 2] * objects[:, 3] - shared)
    iou: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def _of_masks(objects: Objects, found: Found, images: int) -> Iterator[Pairs]:
    from pycocotools import mask as coder

    assert objects.masks is not None
    assert found.masks is not None
    objects_of = np.searchsorted(objects.image, np.arange(images + 1))
    found_of = np.searchsorted(found.image, np.arange(images + 1))
    for image in range(images):
        mine = range(found_of[image], found_of[image + 1])
        theirs = range(objects_of[image], objects_of[image + 1])
        if not mine or not theirs:
            continue
        crowd = objects.crowd[theirs.start : theirs.stop].astype(np.uint8).tolist()
        left, right = [found.masks[k] for k in mine], [objects.masks[k] for k in theirs]
        iou = np.asarray(coder.iou(left, right, crowd), np.float64)
        rows, columns = np.nonzero(iou >= LEAST_IOU)
        yield Pairs(rows + mine.start, columns + theirs.start, iou[rows, columns])


def columns(parts: Iterable[Found]) -> Found:
    """Several detections of images as one, in the order of the images."""
    given = list(parts)
    if not given:
        nothing = np.zeros(0, np.int64)
        return Found(nothing, nothing, np.zeros((0, 4)), np.zeros(0))
    image = np.concatenate([part.image for part in given])
    order = np.argsort(image, kind="stable")
    masks: list[Rle] | None = None
    if given[0].masks is not None:
        every = [mask for part in given for mask in part.masks or ()]
        masks = [every[row] for row in order]
    return Found(
        image[order],
        np.concatenate([part.category for part in given])[order],
        np.concatenate([part.xywh for part in given])[order],
        np.concatenate([part.score for part in given])[order],
        masks,
    )
