"""How well frozen features suit a task, from the features alone: nothing is trained.

LogME is the logarithm of the evidence of a Bayesian linear model, a number per sample; a ridge
probe says how well a linear model predicts samples of pictures that it has not seen.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDS = 1000
_CLOSE = 1e-6
_PENALTIES = tuple(10.0**power for power in range(-3, 6))


def logme(features: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """LogME of features for real targets, the mean over their columns (You et al., ICML 2021).

    features: (n, d). targets: (n, k); for classes a column of 0 and 1 each. Evidence is maximised
    over the precision of weights and of noise by the fixed-point iteration of MacKay (1992), on
    the singular values of the features. Centre and scale columns first where their origin is
    arbitrary, as `standardised` does; a rotation of the features changes nothing.
    """
    x, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    squares = s**2
    values = [_evidence(u, squares, column, x.shape[1]) for column in y.T]
    return float(np.mean(values))


def _evidence(u: Floats, squares: Floats, y: Floats, width: int) -> float:
    """Log evidence per sample of one target. u: (n, r) left vectors; squares: of singular values.

    With a, b the precisions of weights and noise and z = uᵀy: m = b s z / (a + b s²) in the basis
    of the right vectors, g = Σ b s² / (a + b s²), a = g / |m|², b = (n - g) / |y - Xm|².
    """
    count = len(y)
    projected = (u.T @ y) ** 2
    outside = max(float(y @ y - projected.sum()), 0.0)  # of the span of the features
    a = b = 1.0
    for _ in range(_ROUNDS):
        share = b * squares / (a + b * squares)
        effective = float(share.sum())
        weights = float((b**2 * squares * projected / (a + b * squares) ** 2).sum())
        residual = float((projected * (1 - share) ** 2).sum()) + outside
        before = a / b
        a = max(effective, 1e-12) / max(weights, 1e-12)
        b = max(count - effective, 1e-12) / max(residual, 1e-12)
        if abs(a / b - before) <= _CLOSE * before:
            break
    share = b * squares / (a + b * squares)
    weights = float((b**2 * squares * projected / (a + b * squares) ** 2).sum())
    residual = float((projected * (1 - share) ** 2).sum()) + outside
    determinant = float(np.log(a + b * squares).sum()) + (width - len(squares)) * math.log(a)
    evidence = width * math.log(a) + count * math.log(b) - count * math.log(2 * math.pi)
    return 0.5 * (evidence - b * residual - a * weights - determinant) / count


def standardised(features: NDArray[np.floating]) -> Floats:
    """Columns with mean 0, scaled as a whole so that their mean variance is 1."""
    x = np.asarray(features, np.float64)
    x = x - x.mean(axis=0)
    spread = math.sqrt(float((x**2).mean()))
    scaled: Floats = x / spread if spread > 0 else x
    return scaled


def principal(features: NDArray[np.floating], most: int) -> Floats:
    """Centred features along their `most` directions of greatest variance, standardised.

    features: (n, d). Returns (n, min(d, most)). Those directions are eigenvectors of the scatter,
    so a rotation of the features changes signs at most.
    """
    x = standardised(features)
    if x.shape[1] <= most:
        return x
    _, vectors = np.linalg.eigh(x.T @ x)
    projected: Floats = x @ vectors[:, ::-1][:, :most]
    return projected


def ridge_probe(
    features: NDArray[np.floating], targets: NDArray[np.floating], groups: NDArray[np.int64]
) -> Floats:
    """Predictions (n, k) of every sample by ridge regression on samples of other groups.

    features: (n, d). targets: (n, k). groups: (n,) the picture of each, for neighbours on a picture
    say each other's answer. Groups are divided into four parts; of several penalties the one with
    the least error over all parts counts. One group alone is predicted by the mean.
    """
    x, y = standardised(features), np.asarray(targets, np.float64)
    parts = np.unique(groups, return_inverse=True)[1] % 4
    found = np.zeros((len(_PENALTIES), *y.shape))
    for part in np.unique(parts):
        held = parts == part
        inside = ~held
        if not inside.any():
            found[:, held] = y.mean(axis=0)
            continue
        found[:, held] = _ridge(x[inside], y[inside], x[held])
    best = ((found - y) ** 2).sum(axis=(1, 2)).argmin()
    chosen: Floats = found[best]
    return chosen


def _ridge(x: Floats, y: Floats, asked: Floats) -> Floats:
    """(penalties, asked, k) predictions; a penalty is per mean squared feature of a sample."""
    mean, middle = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean
    squares, vectors = np.linalg.eigh(centred.T @ centred)
    inner, across = vectors.T @ centred.T @ (y - middle), (asked - mean) @ vectors
    scaled = [inner / (squares.clip(0) + penalty)[:, None] for penalty in _PENALTIES]
    return np.stack([across @ weights + middle for weights in scaled])


def explained(targets: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """The share of the variance of targets that predictions explain (R²), all columns together;
    not below 0, and 0 where there is no variance."""
    y = np.asarray(targets, np.float64)
    whole = float(((y - y.mean(axis=0)) ** 2).sum())
    missed = float(((y - predicted) ** 2).sum())
    return max(1 - missed / whole, 0.0) if whole > 0 else 0.0


def balanced_accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The mean over classes of the share that is predicted rightly."""
    shares = [(predicted[labels == label] == label).mean() for label in np.unique(labels)]
    return float(np.mean(shares)) if shares else 0.0
