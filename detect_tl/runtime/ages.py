"""How old frames are when their results are out: percentiles in bounded memory."""

from __future__ import annotations

import math

import numpy as np

_LEAST, _MOST = 1e-4, 1e4
_STEP = math.log(1.02)
_BINS = math.ceil(math.log(_MOST / _LEAST) / _STEP) + 1


class Ages:
    """Durations, counted in bins that are 2% wide; what is told of them is true to 1%.

    It is as large after days as after a second. From 0.1 ms to 10,000 s; what lies outside counts
    as the nearest.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)
        self._most = 0.0

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, seconds: float) -> None:
        place = round(math.log(min(max(seconds, _LEAST), _MOST) / _LEAST) / _STEP)
        self._counts[place] += 1
        self._most = max(self._most, seconds)

    def quantile(self, share: float) -> float:
        """Seconds that so large a share of the durations do not exceed; 0 when there are none."""
        total = len(self)
        if total == 0:
            return 0.0
        rank = min(max(math.ceil(share * total), 1), total)
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(_LEAST * math.exp(place * _STEP), self._most)

    def as_ms(self) -> dict[str, float]:
        """Median, 95th percentile and longest, in milliseconds."""
        values = {"p50": self.quantile(0.5), "p95": self.quantile(0.95), "max": self._most}
        return {name: 1000 * seconds for name, seconds in values.items()}
