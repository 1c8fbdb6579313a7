from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from detect_tl.runtime.ages import Ages


def filled(values: list[float]) -> Ages:
    ages = Ages()
    for value in values:
        ages.add(value)
    return ages


@given(st.lists(st.floats(1e-3, 1e3), min_size=1), st.floats(0, 1))
def test_quantiles_are_true_to_one_percent(values: list[float], share: float) -> None:
    told = filled(values).quantile(share)
    assert told == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=0.0101)
    assert told <= max(values)


def test_what_it_tells() -> None:
    told = filled([0.001 * k for k in range(1, 101)]).as_ms()
    assert told["p50"] == pytest.approx(50, rel=0.01)
    assert told["p95"] == pytest.approx(95, rel=0.01)
    assert told["max"] == 100


def test_nothing_and_what_lies_outside() -> None:
    assert Ages().as_ms() == {"p50": 0, "p95": 0, "max": 0}
    ages = filled([-1.0, 0.0, 1e9])
    assert len(ages) == 3
    assert ages.quantile(0) <= 1e-4
    assert ages.quantile(1) == pytest.approx(1e4, rel=0.01)


def test_it_does_not_grow() -> None:
    ages = filled([1.0])
    size = ages._counts.nbytes
    for k in range(10_000):
        ages.add(k / 100)
    assert ages._counts.nbytes == size < 10_000
    assert len(ages) == 10_001
