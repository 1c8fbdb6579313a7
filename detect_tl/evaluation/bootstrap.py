"""How sure a score is: the same evaluation on images drawn again and again from the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit  # scipy.stats takes a second to load

from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.overlaps import Floats, Ints
from detect_tl.evaluation.precision import average_precision, mean_ap

RESAMPLES = 1000
# Work that an interval may cost: detections times resamples. A thousand over 30,000 detections take
# some seconds; a split with many more has a narrow interval, which fewer resamples find too.
_MOST_WORK = 30_000_000
_FEWEST = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and where the true one lies, with the given confidence. low, high: None: unknown.

    resamples: how many it rests on.
    """

    value: float
    low: float | None
    high: float | None
    confidence: float
    resamples: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def as_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "confidence": self.confidence,
            "resamples": self.resamples,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """AP of one model in every resample of the images of a split.

    value: (thresholds, categories) AP on the split itself. drawn: (resamples, thresholds,
    categories), NaN where a resample has no object of a category. images: of the split.
    """

    value: Floats
    drawn: Floats
    images: int

    def of_map(self, threshold: int | None = None, confidence: float = 0.95) -> Interval:
        """Interval of the mean over categories; threshold: by number, None: over all."""
        some = slice(None) if threshold is None else slice(threshold, threshold + 1)
        drawn = [mean_ap(each[some]) for each in self.drawn]
        return interval(mean_ap(self.value[some]), np.array(drawn), self.images, confidence)

    def of_category(self, category: int, confidence: float = 0.95) -> Interval:
        """Interval of the AP of one category over all thresholds."""
        drawn = self.drawn[:, :, category].mean(axis=1)
        return interval(float(self.value[:, category].mean()), drawn, self.images, confidence)


def resamples_for(detections: int, wanted: int = RESAMPLES) -> int:
    """So many as can be drawn in reasonable time, at most `wanted`."""
    return min(wanted, max(_MOST_WORK // max(detections, 1), _FEWEST))


def draws(images: int, resamples: int, seed: int = 0) -> Ints:
    """(resamples, images) how often each image is drawn. The same for every model, so that two can
    be compared draw by draw."""
    rng = np.random.default_rng(seed)
    shares = np.full(images, 1 / images)
    return rng.multinomial(images, shares, size=resamples) if images else np.zeros((0, 0), np.int64)


def bootstrap(matches: Matches, drawn: Ints) -> Bootstrap:
    """Score every resample. drawn: as `draws` gives it."""
    each = [average_precision(matches, weights) for weights in drawn]
    empty = np.zeros((0, len(matches.thresholds), len(matches.names)))
    return Bootstrap(average_precision(matches), np.stack(each) if each else empty, matches.images)


def interval(
    value: float,
    drawn: Floats,
    units: int,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Percentile interval, widened for few units (the expanded percentile interval, Hesterberg,
    "What Teachers Should Know About the Bootstrap", 2015).

    drawn: the value in every resample; NaN: it has none there. units: what was drawn from. bounds:
    between which values can lie.

    A resample holds images several times, and AP is a little higher by that: much higher, against
    the width of the interval, where classes are many and rare. So what was drawn is shifted until
    its mean is the value. The interval is of the score that splits of this size have.
    """
    known = drawn[~np.isnan(drawn)]
    if units < 2 or len(known) < 2 or np.isnan(value):
        return Interval(value, None, None, confidence, len(known))
    tail = (1 - confidence) / 2
    quantile = stdtrit(units - 1, tail) * np.sqrt(units / (units - 1))
    share = float(ndtr(quantile))
    low, high = np.quantile(known - known.mean() + value, [share, 1 - share])
    low, high = np.clip((low, high), *bounds)
    return Interval(value, float(low), float(high), confidence, len(known))
