"""What the confidence of a detection is worth: the best threshold, and how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.overlaps import Bools, Floats, Ints

_BINS = 10


@dataclass(frozen=True, slots=True)
class Working:
    """A class at its best threshold of confidence, where F1 is highest, at IoU .50.

    confidence: detections below it are left out. Without any detection that is right, there is no
    such threshold, and all of these are None.
    """

    name: str
    confidence: float | None
    f1: float | None
    precision: float | None
    recall: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "confidence": self.confidence,
            "f1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision and recall of a class over falling thresholds of confidence, all (n,)."""

    confidence: Floats
    precision: Floats
    recall: Floats

    @property
    def f1(self) -> Floats:
        total = self.precision + self.recall
        return np.divide(
            2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0
        )


def curve(matches: Matches, category: int, threshold: int = 0) -> Curve:
    """A point for every confidence that a detection of the class has; threshold: of IoU, by number.

    Recall is NaN where the class has no objects.
    """
    rows = matches.rows_by_category[category]
    rows = rows[matches.counted[threshold, rows]]
    score = matches.found.score[rows]
    last = np.flatnonzero(np.append(np.diff(score) != 0, True)) if len(rows) else rows
    right = np.cumsum(matches.right(threshold)[rows])[last]
    total = matches.objects_by_image[category].sum()
    recall = right / total if total else np.full(len(last), np.nan)
    return Curve(score[last], right / (last + 1), recall)


def best_threshold(matches: Matches, category: int) -> Working:
    """Where F1 is highest. The threshold lies halfway to the next lower confidence.

    A detection with just this confidence then stays clear of it, whatever rounding does.
    """
    name = matches.names[category]
    points = curve(matches, category)
    f1 = np.nan_to_num(points.f1)
    if not len(f1) or f1.max() == 0:
        return Working(name, None, None, None, None)
    best = int(np.argmax(f1))
    below = points.confidence[best + 1] if best + 1 < len(f1) else 0.0
    middle = (points.confidence[best] + below) / 2
    return Working(
        name,
        float(middle),
        float(f1[best]),
        float(points.precision[best]),
        float(points.recall[best]),
    )


@dataclass(frozen=True, slots=True)
class Point:
    """All classes at one confidence: detections below it are left out. At IoU .50.

    precision: None where nothing is left.
    """

    confidence: float
    precision: float | None
    recall: float
    f1: float

    def as_json(self) -> dict[str, Any]:
        return {
            "confidence": self.confidence,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


def by_confidence(matches: Matches, steps: int = 20) -> list[Point]:
    """What a model is worth at confidences from 0 to 1, over all classes that have objects."""
    held = matches.objects_by_image.sum(axis=1)
    total = int(held.sum())
    rows = matches.counted[0] & (held[matches.found.category] > 0)
    score, right = matches.found.score[rows], matches.right()[rows]
    points = []
    for confidence in np.linspace(0, 1, steps + 1).tolist():
        shown = score >= confidence
        hits, count = int(right[shown].sum()), int(shown.sum())
        points.append(
            Point(
                confidence,
                hits / count if count else None,
                hits / total if total else 0.0,
                2 * hits / (count + total) if count + total else 0.0,
            )
        )
    return points


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How often detections of a confidence are right, at IoU .50.

    edges: (bins + 1,) of the bins. count: (bins,) detections. confidence, precision: (bins,) their
    mean confidence and the share that is right; NaN for an empty bin.
    ece: expected calibration error, the mean of |precision - confidence| over detections (Naeini
    et al. 2015); None without detections.
    least: confidence from which on detections were looked at.
    """

    edges: Floats
    count: Ints
    confidence: Floats
    precision: Floats
    ece: float | None
    least: float

    def as_json(self) -> dict[str, Any]:
        return {
            "ece": self.ece,
            "from_confidence": self.least,
            "bins": [
                {
                    "from": low,
                    "to": high,
                    "detections": count,
                    "confidence": None if count == 0 else confidence,
                    "precision": None if count == 0 else precision,
                }
                for low, high, count, confidence, precision in zip(
                    self.edges[:-1].tolist(),
                    self.edges[1:].tolist(),
                    self.count.tolist(),
                    self.confidence.tolist(),
                    self.precision.tolist(),
                    strict=True,
                )
            ],
        }


def calibration(matches: Matches, least: float = 0.05, bins: int = _BINS) -> Calibration:
    """Compare confidence with precision in bins of equal width.

    least: detections below it are left out: a validator keeps hundreds of them in every image,
    which nobody is shown, and they would outweigh all others.
    """
    rows = matches.counted[0] & (matches.found.score >= least)
    return _in_bins(matches.found.score[rows], matches.right()[rows], least, bins)


def _in_bins(score: Floats, right: Bools, least: float, bins: int) -> Calibration:
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, score, bins) / count
        precision = np.bincount(place, right, bins) / count
    gaps = np.abs(np.nan_to_num(precision - confidence)) * count
    ece = float(gaps.sum() / len(score)) if len(score) else None
    return Calibration(edges, count, confidence, precision, ece, least)
