"""Estimators of transferability: against independent closed forms, and laws of what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, ortho_group

from detect_tl.evaluation.transferability import (
    _PENALTIES,
    balanced_accuracy,
    explained,
    logme,
    principal,
    ridge_probe,
    standardised,
)

Floats = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def task(seed: int, count: int = 60, width: int = 8, noise: float = 0.5) -> tuple[Floats, Floats]:
    """Features, and two targets that depend on them linearly, but for noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width))
    y = x @ rng.normal(size=(width, 2)) + noise * rng.normal(size=(count, 2))
    return x, y


def evidence(x: Floats, y: Floats) -> float:
    """Greatest log evidence per sample of y ~ N(0, 1/b + x xᵀ/a), by a general optimiser."""

    def negative(logs: Floats) -> float:
        a, b = np.exp(logs)
        covariance = np.eye(len(y)) / b + x @ x.T / a
        return -float(multivariate_normal.logpdf(y, np.zeros(len(y)), covariance))

    starts = ([0.0, 0.0], [-2.0, 2.0], [2.0, 0.0])
    return max(-minimize(negative, s, method="Nelder-Mead").fun for s in starts) / len(y)


@pytest.mark.parametrize(("count", "width"), [(40, 5), (12, 30), (25, 25)])
def test_logme_is_the_greatest_evidence(count: int, width: int) -> None:
    x, y = task(count, count, width)
    expected = np.mean([evidence(x, column) for column in y.T])
    assert logme(x, y) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=25)
@given(seeds)
def test_a_rotation_of_features_changes_nothing(seed: int) -> None:
    x, y = task(seed)
    turned = x @ ortho_group.rvs(x.shape[1], random_state=seed)
    groups = np.arange(len(x)) // 3
    assert logme(turned, y) == pytest.approx(logme(x, y), abs=1e-6)
    assert ridge_probe(turned, y, groups) == pytest.approx(ridge_probe(x, y, groups), abs=1e-6)


@settings(max_examples=25)
@given(seeds)
def test_random_features_score_lower(seed: int) -> None:
    x, y = task(seed)
    groups = np.arange(len(x)) // 3
    noise = np.random.default_rng([seed, 1]).normal(size=x.shape)
    assert logme(noise, y) < logme(x, y)
    known, guessed = (explained(y, ridge_probe(f, y, groups)) for f in (x, noise))
    assert guessed < 0.5 < known


def test_a_probe_never_learns_from_the_picture_that_it_is_asked_about() -> None:
    """Features that only number their picture say nothing of another one."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 5)
    y = rng.normal(size=(40, 1))[groups]
    x = np.eye(40)[groups]
    assert explained(y, ridge_probe(x, y, groups)) < 0.05
    assert explained(y, ridge_probe(x, y, np.arange(len(y)))) > 0.5  # each row a picture of its own


def test_a_probe_is_ridge_regression_at_its_best_penalty() -> None:
    x, y = task(5, noise=3.0)
    groups = np.arange(len(x)) // 2
    scaled, parts = standardised(x), groups % 4
    best = min((_by_hand(scaled, y, parts, penalty) for penalty in _PENALTIES), key=_error(y))
    assert ridge_probe(x, y, groups) == pytest.approx(best, abs=1e-9)


def _by_hand(x: Floats, y: Floats, parts: NDArray[np.int64], penalty: float) -> Floats:
    found = np.zeros_like(y)
    for part in range(4):
        own, asked = x[parts != part], x[parts == part]
        a, b = own - own.mean(axis=0), y[parts != part] - y[parts != part].mean(axis=0)
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(x.shape[1]), a.T @ b)
        found[parts == part] = (asked - own.mean(axis=0)) @ weights + y[parts != part].mean(axis=0)
    return found


def _error(y: Floats) -> object:
    return lambda predicted: ((predicted - y) ** 2).sum()


def test_one_picture_is_predicted_by_the_mean() -> None:
    x, y = task(1)
    assert ridge_probe(x, y, np.zeros(len(x), np.int64)) == pytest.approx(
        np.broadcast_to(y.mean(axis=0), y.shape)
    )


def test_what_is_the_same_everywhere_says_nothing() -> None:
    _, y = task(2)
    flat = np.full((len(y), 7), 3.0)
    assert explained(y, ridge_probe(flat, y, np.arange(len(y)))) == 0
    assert not standardised(flat).any()
    assert np.isfinite(logme(standardised(flat), y))
    assert explained(np.zeros((5, 2)), np.zeros((5, 2))) == 0


@settings(max_examples=25)
@given(seeds)
def test_principal_components_keep_most_of_the_variance(seed: int) -> None:
    x, _ = task(seed, 30, 12)
    whole = standardised(x)
    assert principal(x, 12) == pytest.approx(whole)
    kept = principal(x, 4)
    values = np.linalg.svd(whole, compute_uv=False) ** 2
    assert kept.shape == (30, 4)
    assert (kept**2).sum(axis=0) == pytest.approx(values[:4])


@pytest.mark.parametrize(
    ("labels", "predicted", "expected"),
    [
        ([0, 0, 0, 1], [0, 0, 0, 0], 0.5),  # the rare class counts as much
        ([0, 0, 0, 1], [0, 0, 0, 1], 1.0),
        ([-1, -1, 2], [2, 2, -1], 0.0),
        ([], [], 0.0),
    ],
)
def test_balanced_accuracy(labels: list[int], predicted: list[int], expected: float) -> None:
    assert balanced_accuracy(np.array(labels), np.array(predicted)) == expected
