"""All that a sheet tells beyond the scores: how sure they are, and where they were lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detect_tl.evaluation.bootstrap import (
    RESAMPLES,
    Bootstrap,
    Interval,
    bootstrap,
    draws,
    resamples_for,
)
from detect_tl.evaluation.confidence import (
    Calibration,
    Point,
    Working,
    best_threshold,
    by_confidence,
    calibration,
)
from detect_tl.evaluation.confusion import Confusion, confusion
from detect_tl.evaluation.error_types import Errors, find_errors
from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.sheet import Sheet

# Where a class has no best threshold, what `predict` shows by itself.
USUAL_CONFIDENCE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Of masks where they are judged, else of boxes.

    map50_95, map50, per_class: with their intervals; a class without objects is not there.
    working: every class at its best threshold of confidence. curve: all of them at every
    confidence. drawn: what the intervals come from.
    """

    map50_95: Interval
    map50: Interval
    per_class: Mapping[str, Interval]
    working: tuple[Working, ...]
    curve: tuple[Point, ...]
    calibration: Calibration
    errors: Errors
    confusion: Confusion
    drawn: Bootstrap

    def thresholds(self) -> dict[str, float]:
        """The best threshold of each class that has one."""
        return {w.name: w.confidence for w in self.working if w.confidence is not None}

    def as_json(self) -> dict[str, Any]:
        counts = self.errors.counts
        return {
            "intervals": {
                "mAP50-95": self.map50_95.as_json(),
                "mAP50": self.map50.as_json(),
                "per_class": {name: each.as_json() for name, each in self.per_class.items()},
            },
            "working": {each.name: each.as_json() for each in self.working},
            "by_confidence": [point.as_json() for point in self.curve],
            "calibration": self.calibration.as_json(),
            "errors": {
                "AP50": self.errors.ap50,
                "kinds": {
                    kind: {"count": counts[kind], "cost": cost}
                    for kind, cost in self.errors.cost.items()
                },
                "false_positives": self.errors.false_positives,
                "false_negatives": self.errors.false_negatives,
            },
            "confusion": self.confusion.as_json(),
        }


def analyse(matches: Matches, *, resamples: int = RESAMPLES, seed: int = 0) -> Analysis:
    """Look into a split whose detections and objects were matched.

    resamples: for the intervals; of very many detections fewer are drawn.
    """
    count = resamples_for(len(matches.found), resamples)
    drawn = bootstrap(matches, draws(matches.images, count, seed))
    held = matches.objects_by_image.sum(axis=1)
    working = tuple(best_threshold(matches, k) for k in range(len(matches.names)))
    return Analysis(
        map50_95=drawn.of_map(),
        map50=drawn.of_map(0),
        per_class={name: drawn.of_category(k) for k, name in enumerate(matches.names) if held[k]},
        working=working,
        curve=tuple(by_confidence(matches)),
        calibration=calibration(matches),
        errors=find_errors(matches),
        confusion=confusion(matches, _confidences(working)),
        drawn=drawn,
    )


def main_matches(sheet: Sheet) -> Matches:
    """Of what the model was built for: masks where there are any, else boxes."""
    return sheet.matches(sheet.kinds[-1])


def _confidences(working: tuple[Working, ...]) -> tuple[float, ...]:
    """From which confidence on each class is shown to a person."""
    return tuple(
        USUAL_CONFIDENCE if each.confidence is None else each.confidence for each in working
    )
