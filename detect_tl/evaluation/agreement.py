"""How far a detector agrees with itself: what can be said of it where nothing is labelled.

A picture is shown twice, as it is and in another view of the same scene (mirrored, smaller). Boxes
of both, mapped back, are matched one to one. What both views find is evidence for an object; what
only one of them finds is doubt:

    found     sum over the matched pairs of IoU · min(score, score)
    claimed   mean over the two views of the sum of the scores
    agreement sum of found / sum of claimed, over all pictures: 0 to 1

A model that says little agrees with itself easily, and one that says much finds much; so a change
counts as better only where agreement *and* what is found hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.evaluation.bootstrap import Interval, draws, interval
from detect_tl.evaluation.overlaps import Floats, Ints

LEAST_IOU = 0.5
RESAMPLES = 1000
MOST_CHANGE = 3.0
"""By which factor the number of objects in a picture may change and still be plausible; from what
it was, or from what is expected, for a model that has lost its objects may find them again."""


class Match(NamedTuple):
    """Rows of two sets of detections that are taken for the same object, and their IoU."""

    one: Ints
    other: Ints
    iou: Floats


def match_views(one: Detections, other: Detections) -> Match:
    """Match detections of the same class one to one, where their boxes overlap by `LEAST_IOU`.

    The pairing is that of the greatest sum of IoU · min(score, score).
    """
    from scipy.optimize import linear_sum_assignment

    iou = _iou(one.xyxy.astype(np.float64), other.xyxy.astype(np.float64))
    iou[(iou < LEAST_IOU) | (one.class_id[:, None] != other.class_id[None])] = 0.0
    rows, columns = linear_sum_assignment(-iou * np.minimum(one.score[:, None], other.score[None]))
    real = iou[rows, columns] > 0
    rows, columns = rows[real], columns[real]
    return Match(rows, columns, iou[rows, columns])


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Of one model on some pictures, a row for each: (pictures,).

    found, claimed: see above. objects: how many detections reach the gate of their class.
    """

    found: Floats
    claimed: Floats
    objects: Floats

    @classmethod
    def of(
        cls, pairs: Sequence[tuple[Detections, Detections]], gates: Sequence[float]
    ) -> Agreement:
        """pairs: of every picture, what was found in both views, in the pixels of the first.
        gates: by class, the confidence of what a person would be shown."""
        least = np.asarray(gates, np.float64)
        rows = [
            (
                _evidence(one, other),
                (float(one.score.sum()) + float(other.score.sum())) / 2,
                float((one.score >= least[one.class_id]).sum()),
            )
            for one, other in pairs
        ]
        columns = np.array(rows, np.float64).reshape(-1, 3).T
        return cls(*columns)

    @property
    def share(self) -> float:
        """Agreement over all pictures; 0 where nothing is claimed."""
        return float(_ratio(self.found.sum(), self.claimed.sum()))

    def as_json(self) -> dict[str, float]:
        return {
            "agreement": self.share,
            "found_per_image": float(self.found.mean()) if len(self.found) else 0.0,
            "objects_per_image": float(self.objects.mean()) if len(self.objects) else 0.0,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """A changed model beside the one before, on the same pictures without labels.

    agreement, found: after less before, of the paired bootstrap over the pictures; found as a share
    of what was found before. plausible: whether the number of objects stays within `MOST_CHANGE`,
    see there.
    """

    agreement: Interval
    found: Interval
    plausible: bool

    @property
    def better(self) -> bool:
        """Whether one of the two has risen for certain, and the other has not fallen."""
        sure = [x.low is not None and x.low > 0 for x in (self.agreement, self.found)]
        kept = [x.value >= 0 for x in (self.agreement, self.found)]
        return self.plausible and any(sure) and all(kept)

    @property
    def reason(self) -> str:
        """Why, in words."""
        agreement, found = self.agreement, self.found
        told = f"agreement {_signed(agreement)}, found again {_signed(found, percent=True)}"
        if not self.plausible:
            return f"the number of objects a picture changes more than {MOST_CHANGE:g}-fold: {told}"
        return f"{'both hold' if self.better else 'not shown to be better'}: {told}"

    def as_json(self) -> dict[str, Any]:
        return {
            "agreement": self.agreement.as_json(),
            "found": self.found.as_json(),
            "plausible": self.plausible,
            "better": self.better,
            "reason": self.reason,
        }


def judge(
    before: Agreement, after: Agreement, expected: float | None = None, seed: int = 0
) -> Judgement:
    """Compare two models that answered to the same pictures in the same order.

    expected: objects in a picture, as the model's training had them; None: not known.
    """
    count = len(before.found)
    weights = np.vstack([np.ones(count, np.int64), draws(count, RESAMPLES, seed)])
    shares = [_ratio(weights @ a.found, weights @ a.claimed) for a in (before, after)]
    agreement = shares[1] - shares[0]
    old, new = weights @ before.found, weights @ after.found
    found = _ratio(new - old, np.maximum(old, np.finfo(float).tiny))
    found = np.clip(found, -1.0, 10.0)
    known = [before.objects.sum(), *([] if expected is None else [expected * count])]
    least, most = (min(known) + 1) / MOST_CHANGE, (max(known) + 1) * MOST_CHANGE
    return Judgement(
        interval(float(agreement[0]), agreement[1:], count, bounds=(-1.0, 1.0)),
        interval(float(found[0]), found[1:], count, bounds=(-1.0, 10.0)),
        bool(least <= after.objects.sum() + 1 <= most),
    )


def _evidence(one: Detections, other: Detections) -> float:
    rows, columns, iou = match_views(one, other)
    return float((iou * np.minimum(one.score[rows], other.score[columns])).sum())


def _ratio(part: Any, whole: Any) -> Any:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _iou(one: Floats, other: Floats) -> Floats:
    """(n, m) IoU of every box with every other; 0 for boxes without area."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=-1) for b in (one, other)]
    result: Floats = _ratio(common, areas[0][:, None] + areas[1][None] - common)
    return result


def _signed(value: Interval, *, percent: bool = False) -> str:
    def text(number: float) -> str:
        return f"{number:+.0%}" if percent else f"{number:+.3f}"

    if value.low is None or value.high is None:
        return text(value.value)
    return f"{text(value.value)} ({text(value.low)} to {text(value.high)})"
