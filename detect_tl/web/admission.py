"""Who may come in: so many at once, and each so often. Refused are 503 and 429."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Gauge
from starlette.exceptions import HTTPException

# Addresses that are remembered before those that have been quiet are forgotten.
_MOST_ADDRESSES = 10_000


class Places:
    """As many places as clients are served at the same time. For the event loop alone."""

    def __init__(self, count: int, gauge: Gauge) -> None:
        self._free = count
        self._gauge = gauge

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place; raise HTTPException 503 when all are taken."""
        if not self._free:
            raise HTTPException(
                503, "All places are taken; try again in a moment.", {"Retry-After": "1"}
            )
        self._free -= 1
        self._gauge.inc()
        try:
            yield
        finally:
            self._free += 1
            self._gauge.dec()


class Rate:
    """A bucket of requests for every address, filled up again at a steady rate."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, address: str) -> None:
        """Count one request; raise HTTPException 429 when there were too many."""
        now = self._clock()
        left, seen = self._left.get(address, (self._most, now))
        left = min(self._most, left + (now - seen) * self._rate)
        if left < 1:
            wait = max(1, round((1 - left) / self._rate))
            raise HTTPException(429, "Too many requests; slow down.", {"Retry-After": str(wait)})
        if address not in self._left and len(self._left) >= _MOST_ADDRESSES:
            self._forget(now)
        self._left[address] = left - 1, now

    def _forget(self, now: float) -> None:
        """Drop the addresses whose buckets are full again; all, if that is not enough."""
        full = self._most / self._rate
        self._left = {key: item for key, item in self._left.items() if now - item[1] < full}
        if len(self._left) >= _MOST_ADDRESSES:
            self._left.clear()
