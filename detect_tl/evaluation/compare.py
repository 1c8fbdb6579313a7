"""Several models on the same images: which is better, and is the difference more than luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detect_tl.evaluation.bootstrap import Bootstrap, Interval, interval
from detect_tl.evaluation.precision import mean_ap


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better a model is than another one, in mAP50-95.

    points: with the interval of the paired bootstrap: both models are scored on the same resamples
    of the images, so that what is hard about an image does not blur the difference.
    p_value: how often chance alone would show a difference as large, if there were none.
    """

    points: Interval
    p_value: float | None

    @property
    def verdict(self) -> str:
        low, high = self.points.low, self.points.high
        if low is None or high is None:
            return "too few images to tell"
        if low > 0:
            return "better"
        if high < 0:
            return "worse"
        return "no difference shown"

    def as_json(self) -> dict[str, Any]:
        return {**self.points.as_json(), "p_value": self.p_value, "verdict": self.verdict}


def difference(ours: Bootstrap, theirs: Bootstrap, confidence: float = 0.95) -> Difference:
    """Compare two models that were scored on the same draws of the same images.

    Of different numbers of draws the first ones count, which are the same.
    """
    if ours.images != theirs.images:
        raise ValueError("both must be scored on the same images")
    value = mean_ap(ours.value) - mean_ap(theirs.value)
    pairs = zip(ours.drawn, theirs.drawn, strict=False)
    drawn = np.array([mean_ap(a) - mean_ap(b) for a, b in pairs])
    return Difference(
        interval(value, drawn, ours.images, confidence, (-1.0, 1.0)), _p_value(value, drawn)
    )


def _p_value(value: float, drawn: Any) -> float | None:
    """Two-sided: the share of resamples as far from the value as the value is from zero.

    With the correction of Davison and Hinkley (1997) a finite number of resamples never gives 0.
    """
    known = drawn[~np.isnan(drawn)]
    if not len(known) or np.isnan(value):
        return None
    as_far = int((np.abs(known - value) >= abs(value)).sum())
    return (as_far + 1) / (len(known) + 1)


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What is not the same in several mappings, nested ones by "a.b"; None: it lacks it.

    An empty mapping has nothing that could differ, but its place in every row.
    """
    flat = [dict(_flat(each)) for each in settings]
    names = dict.fromkeys(name for each in flat for name in each)
    rows = {}
    for name in names:
        told = [each.get(name) for each in flat if each]
        if any(value != told[0] for value in told):
            rows[name] = [each.get(name) for each in flat]
    return rows


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
