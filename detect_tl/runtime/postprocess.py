"""From a model's raw outputs to detections in image pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.masks import decode_masks
from detect_tl.runtime.preprocess import Letterbox

Float = NDArray[np.float32]

MAX_CANDIDATES = 30_000
"""Boxes of one image that enter suppression, best first; as many as Ultralytics takes."""

_BLOCK = 256


@dataclass(frozen=True, slots=True)
class _Rows:
    """Boxes of one image in input pixels, with the coefficients of their masks."""

    xyxy: Float
    score: Float
    class_id: NDArray[np.int64]
    extra: Float

    def where(self, keep: NDArray[Any]) -> _Rows:
        return _Rows(self.xyxy[keep], self.score[keep], self.class_id[keep], self.extra[keep])


def decode(
    outputs: Sequence[Float],
    spec: ModelSpec,
    letterboxes: Sequence[Letterbox],
    *,
    conf: float | Sequence[float] = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    classes: Collection[int] | None = None,
    multi_label: bool = False,
    agnostic: bool = False,
) -> list[Detections]:
    """Read one batch of outputs.

    outputs: arrays as `ModelSpec` describes them.
    letterboxes: one per image of the batch, from `preprocess`.
    conf: scores must be above it; one value, or one for each class.
    iou: a box that overlaps a better one more than this is dropped.
    classes: ids to keep; all when None.
    multi_label: one box may be several classes, as validation wants it; else its best class only.
    agnostic: suppress across classes. An end-to-end model has suppressed already: for it `iou`,
    `multi_label` and `agnostic` are without meaning.
    Returns one `Detections` per image, at most `max_det` rows, best score first.
    """
    spread = multi_label and spec.class_count > 1
    least = np.broadcast_to(np.asarray(conf, np.float32), spec.class_count)
    lowest = float(least.min())
    found = []
    for index, letterbox in enumerate(letterboxes):
        if spec.end2end:
            rows = _suppressed_rows(outputs[0][index], lowest)
        else:
            rows = _candidates(outputs[0][index], spec.class_count, lowest, multi_label=spread)
        if not isinstance(conf, float | int):
            rows = rows.where(rows.score > least[rows.class_id])
        if classes is not None:
            rows = rows.where(np.isin(rows.class_id, list(classes)))
        rows = rows.where(np.argsort(-rows.score, kind="stable")[:MAX_CANDIDATES])
        if spec.end2end:
            rows = rows.where(np.arange(min(len(rows.score), max_det)))
        else:
            groups = None if agnostic else rows.class_id
            rows = rows.where(suppress(rows.xyxy, groups, iou, max_det))
        prototypes = outputs[1][index] if spec.task == "segment" else None
        found.append(_detections(rows, letterbox, prototypes))
    return found


def suppress(
    xyxy: Float, groups: NDArray[np.int64] | None, iou: float, most: int
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression.

    xyxy: (n, 4), best first. groups: (n,) ids; only boxes of the same group compete, or all when
    None. Returns the indices of at most `most` survivors, best first.

    Blocks of boxes are compared with the survivors so far and with one another, so the work
    grows with boxes times survivors and stops once there are enough survivors. Groups are compared
    as such: shifting each class by a large offset instead would round the boxes of high ids.
    """
    kept = np.zeros(0, np.int64)
    for start in range(0, len(xyxy), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(xyxy)))
        if len(kept):
            block = block[~_rivals(xyxy, groups, kept, block, iou).any(axis=0)]
        beats = _rivals(xyxy, groups, block, block, iou)
        alive = np.ones(len(block), np.bool_)
        for row in range(len(block)):
            if alive[row]:
                alive[row + 1 :] &= ~beats[row, row + 1 :]
        kept = np.concatenate((kept, block[alive]))
        if len(kept) >= most:
            break
    return kept[:most]


def _rivals(
    xyxy: Float,
    groups: NDArray[np.int64] | None,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    iou: float,
) -> NDArray[np.bool_]:
    """Which of `first` overlap which of `second` by more than `iou`: (first, second) booleans."""
    a, b = xyxy[first, None], xyxy[None, second]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(axis=2)
    areas = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
    union = areas[first, None] + areas[None, second] - shared
    over: NDArray[np.bool_] = shared > np.float32(iou) * union
    if groups is not None:
        over &= groups[first, None] == groups[None, second]
    return over


def _candidates(raw: Float, class_count: int, conf: float, *, multi_label: bool) -> _Rows:
    """Boxes above `conf` from (4 + classes + coefficients, anchors) outputs, in anchor order."""
    scores = raw[4 : 4 + class_count]
    # Most anchors are background: the rest of the work touches the few columns that are not.
    columns = np.flatnonzero(scores.max(axis=0) > conf)
    picked = raw[:, columns].T
    box, some, extra = np.split(picked, [4, 4 + class_count], axis=1)
    if multi_label:
        row, class_id = np.nonzero(some > conf)
    else:
        row, class_id = np.arange(len(some)), some.argmax(axis=1)
    centre, half = box[:, :2], box[:, 2:] / np.float32(2)
    xyxy: Float = np.concatenate((centre - half, centre + half), axis=1, dtype=np.float32)
    return _Rows(xyxy[row], some[row, class_id], class_id.astype(np.int64), extra[row])


def _suppressed_rows(raw: Float, conf: float) -> _Rows:
    """Rows above `conf` of (rows, 6 + coefficients) end-to-end outputs."""
    raw = raw[raw[:, 4] > conf]
    return _Rows(raw[:, :4], raw[:, 4], raw[:, 5].astype(np.int64), raw[:, 6:])


def _detections(rows: _Rows, letterbox: Letterbox, prototypes: Float | None) -> Detections:
    xyxy = letterbox.to_image(rows.xyxy)
    mask = None if prototypes is None else decode_masks(prototypes, rows.extra, xyxy, letterbox)
    return Detections(xyxy, np.ascontiguousarray(rows.score), rows.class_id, mask)
