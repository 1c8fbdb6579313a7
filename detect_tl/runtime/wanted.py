"""Models that answer for the names that someone asks for, one or several as if they were one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import UsageError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.backends import Backend

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model file, and what its classes are called in the results; classes without a label are not
    wanted. Several classes may share a label."""

    path: Path
    labels: Mapping[str, str]


class WantedBackend:
    """Runs models one after the other on the same input, each for its own labels.

    An anchor is of the class that its model finds the most likely of all, wanted or not: where
    trucks are not wanted, a truck is nothing, and not a car that is less likely.

    One model keeps its masks; several give boxes alone, since their masks have nothing in common.
    Raises UsageError for models of fixed sizes that differ.
    """

    def __init__(self, parts: Sequence[tuple[Backend, Mapping[str, str]]]) -> None:
        self._backends = [backend for backend, _ in parts]
        names = tuple(dict.fromkeys(label for _, labels in parts for label in labels.values()))
        self._targets = [_targets(b.spec.names, labels, names) for b, labels in parts]
        self.spec = _joined([backend.spec for backend in self._backends], names)

    def infer(self, batch: Floats) -> list[Floats]:
        """Run a (batch, 3, height, width) RGB batch in [0, 1]; outputs as `ModelSpec` has them."""
        answers = [backend.infer(batch) for backend in self._backends]
        count = self.spec.class_count
        if len(answers) == 1:
            first, *rest = answers[0]
            pick = _pick_rows if self.spec.end2end else _pick_scores
            return [pick(first, self._targets[0], count), *rest]
        dense = [
            _dense(answer[0], targets, count, end2end=backend.spec.end2end)
            for answer, targets, backend in zip(answers, self._targets, self._backends, strict=True)
        ]
        return [np.concatenate(dense, axis=2)]

    def close(self) -> None:
        for backend in self._backends:
            backend.close()


def _targets(
    own: Sequence[str], labels: Mapping[str, str], names: Sequence[str]
) -> NDArray[np.int64]:
    """For every class of a model, the id that it gets; -1 where it is not wanted."""
    return np.array([names.index(labels[n]) if n in labels else -1 for n in own], np.int64)


def _joined(specs: Sequence[ModelSpec], names: tuple[str, ...]) -> ModelSpec:
    if len(specs) == 1:
        return replace(specs[0], names=names)
    fixed = {spec.imgsz for spec in specs if not spec.dynamic}
    if len(fixed) > 1:
        raise UsageError(
            "the models that are needed take pictures of different sizes",
            hint="Export them with dynamic shapes, or for the same size.",
        )
    return ModelSpec(
        names=names,
        imgsz=next(iter(fixed), specs[0].imgsz),
        stride=max(spec.stride for spec in specs),
        dynamic=not fixed,
    )


def _pick_scores(raw: Floats, targets: NDArray[np.int64], count: int) -> Floats:
    """(b, 4 + classes + coefficients, anchors), with scores of labels in place of classes."""
    boxes, scores, rest = np.split(raw, [4, 4 + len(targets)], axis=1)
    best = scores.max(axis=1, keepdims=True)
    picked = np.zeros((len(raw), count, raw.shape[2]), np.float32)
    for own in np.flatnonzero(targets >= 0):
        likely = np.where(scores[:, own] >= best[:, 0], scores[:, own], np.float32(0))
        np.maximum(picked[:, targets[own]], likely, out=picked[:, targets[own]])
    return np.concatenate((boxes, picked, rest), axis=1)


def _pick_rows(raw: Floats, targets: NDArray[np.int64], count: int) -> Floats:
    """(b, rows, 6 + coefficients), with the ids of the labels; others have no score."""
    del count
    ids = targets[raw[..., 5].astype(np.int64)]
    picked = raw.copy()
    picked[..., 4] = np.where(ids >= 0, raw[..., 4], 0)
    picked[..., 5] = np.maximum(ids, 0)
    return picked


def _dense(raw: Floats, targets: NDArray[np.int64], count: int, *, end2end: bool) -> Floats:
    """(b, 4 + labels, anchors), whatever the model answers; coefficients are left out."""
    if not end2end:
        return _pick_scores(raw[:, : 4 + len(targets)], targets, count)
    rows = _pick_rows(raw, targets, count)
    corner, other = rows[..., :2], rows[..., 2:4]
    chosen = np.arange(count) == rows[..., 5:6]
    scores = np.where(chosen, rows[..., 4:5], 0)
    boxes = np.concatenate(((corner + other) / 2, other - corner, scores), axis=2)
    return np.ascontiguousarray(boxes.transpose(0, 2, 1), np.float32)
