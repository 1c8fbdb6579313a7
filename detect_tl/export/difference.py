"""How far two answers of one model are apart, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.model_spec import ModelSpec

Float = NDArray[np.float32]

RELEVANT = 0.25
"""Boxes of a lower score are not compared, but their scores are: `predict` does not show them, and
where a model has little idea of a box, the least rounding moves it by pixels."""


def anchor_difference(ours: Float, theirs: Float, spec: ModelSpec) -> tuple[float, float | None]:
    """Largest difference of the scores, and of the boxes that matter."""
    scores = slice(4, 4 + spec.class_count)
    matter = ours[scores].max(axis=0) >= RELEVANT
    gap = _corners(ours[:4, matter]) - _corners(theirs[:4, matter])
    return _largest(ours[scores] - theirs[scores]), _largest(gap) if gap.size else None


def row_difference(ours: Float, theirs: Float, spec: ModelSpec) -> tuple[float, float | None]:
    """The same for an end-to-end model.

    Its rows are sorted by score, and near ties change places: the n-th best scores are compared,
    and each box with the nearest one of its class.
    """
    del spec
    gaps = []
    for row in ours[ours[:, 4] >= RELEVANT]:
        rivals = theirs[theirs[:, 5] == row[5], :4]
        gaps.append(float(np.abs(rivals - row[:4]).max(axis=1).min(initial=np.inf)))
    return _largest(ours[:, 4] - theirs[:, 4]), max(gaps, default=None)


def _corners(cxcywh: Float) -> Float:
    centre, half = cxcywh[:2], cxcywh[2:] / 2
    return np.concatenate((centre - half, centre + half))


def mask_difference(ours: Sequence[Float], theirs: Sequence[Float], spec: ModelSpec) -> float:
    """Largest difference of prototypes and coefficients over the largest value of each."""
    pairs = [(ours[1], theirs[1])]
    if not spec.end2end:
        first = 4 + spec.class_count
        pairs.append((ours[0][:, first:], theirs[0][:, first:]))
    return max(_largest(a - b) / max(_largest(a), 1e-6) for a, b in pairs)


def _largest(values: Float) -> float:
    """The largest magnitude; infinite where a value is not a number, 0 where there is none."""
    if not values.size:
        return 0.0
    worst = float(np.abs(values).max())
    return worst if np.isfinite(worst) else float("inf")


def unmatched(
    shown: Detections, other: Detections, hidden: Detections, *, score: float, iou: float
) -> int:
    """How many detections of `shown` have no like in what the other model shows or hides.

    A like is of the same class, its score within `score`, its box and mask over `iou` the same.
    hidden: what the other model holds before its threshold and suppression, without masks: a tie
    that falls the other way is no difference.
    """
    lost = 0
    for row in range(len(shown)):
        near = _alike(shown, row, other, score, iou)
        if len(near):
            lost += not _same_mask(shown, row, other.where(near), iou)
        else:
            lost += not len(_alike(shown, row, hidden, score, iou))
    return lost


def _same_mask(shown: Detections, row: int, near: Detections, iou: float) -> bool:
    if shown.mask is None or near.mask is None:
        return True
    return any(_mask_iou(shown.mask[row], mask) >= iou for mask in near.mask)


def _alike(
    shown: Detections, row: int, among: Detections, score: float, iou: float
) -> NDArray[np.intp]:
    near = among.class_id == shown.class_id[row]
    near &= np.abs(among.score - shown.score[row]) <= score
    near &= _ious(shown.xyxy[row], among.xyxy) >= iou
    return np.flatnonzero(near)


def _ious(box: Float, boxes: Float) -> Float:
    """Overlap of boxes, taken so that even a degenerate one is like itself.

    They are grown by half a pixel, and corners in the wrong order, which a YOLO26 that is not
    trained may give, are put into the right one.
    """
    one, many = _grown(box), _grown(boxes)
    sides = np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    areas = (many[:, 2:] - many[:, :2]).prod(axis=1)
    return np.asarray(shared / (areas + (one[2:] - one[:2]).prod() - shared), np.float32)


def _grown(boxes: Float) -> Float:
    first, second = boxes[..., :2], boxes[..., 2:]
    corners = np.minimum(first, second) - 0.5, np.maximum(first, second) + 0.5
    return np.concatenate(corners, axis=-1, dtype=np.float32)


def _mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
