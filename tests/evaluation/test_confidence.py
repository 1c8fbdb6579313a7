"""The best threshold is the best, and calibration measures what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.evaluation.confidence import best_threshold, by_confidence, calibration, curve
from detect_tl.evaluation.confusion import confusion
from detect_tl.evaluation.matching import match
from detect_tl.evaluation.overlaps import Found, Objects
from tests.evaluation.test_matching import seeds, sheet_of


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_no_threshold_is_better_than_the_best(seed: int) -> None:
    matches = sheet_of(seed).matches("bbox")
    for category in range(len(matches.names)):
        best = best_threshold(matches, category)
        rows = matches.found.category == category
        total = int(matches.objects_by_image[category].sum())
        f1s = {}
        for least in {0.0, *matches.found.score[rows].tolist(), best.confidence or 0.0}:
            shown = rows & (matches.found.score >= least)
            right = int((matches.right() & shown).sum())
            shown_count = int((matches.counted[0] & shown).sum())
            f1s[least] = 2 * right / max(shown_count + total, 1)
        highest = max(f1s.values())
        if best.confidence is None:
            assert highest == 0
        else:
            assert f1s[best.confidence] == pytest.approx(highest)
            assert best.f1 == pytest.approx(highest)
            # no detection lies on it, so rounding cannot move one across
            assert not (matches.found.score[rows] == best.confidence).any()


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_recall_only_rises_as_the_threshold_falls(seed: int) -> None:
    matches = sheet_of(seed).matches("bbox")
    points = curve(matches, 0)
    assert (np.diff(points.confidence) < 0).all()
    assert (np.diff(points.recall) >= 0).all() or np.isnan(points.recall).all()
    assert ((points.precision >= 0) & (points.precision <= 1)).all()


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_the_curve_counts_what_is_shown(seed: int) -> None:
    matches = sheet_of(seed).matches("bbox")
    points = by_confidence(matches)
    assert [point.confidence for point in points] == pytest.approx(np.linspace(0, 1, 21))
    recalls = [point.recall for point in points]
    assert recalls == sorted(recalls, reverse=True)
    held = matches.objects_by_image.sum(axis=1)
    if held.sum():
        assert recalls[0] == matches.right().sum() / held.sum()
    for point in points:
        if point.precision is not None and point.precision + point.recall > 0:
            both = 2 * point.precision * point.recall / (point.precision + point.recall)
            assert point.f1 == pytest.approx(both)


def test_a_model_that_is_as_often_right_as_it_is_sure_is_calibrated() -> None:
    rng = np.random.default_rng(2)
    count = 20_000
    score = rng.random(count)

    def ece(right: np.ndarray) -> float:
        image = np.arange(count)
        boxes = np.tile([0.0, 0.0, 10.0, 10.0], (count, 1))
        nothing = np.zeros(count, np.int64)
        objects = Objects(image, nothing, boxes, np.zeros(count, np.bool_))
        away = boxes + np.where(right, 0, 500)[:, None] * [1, 0, 0, 0]
        matches = match(objects, Found(image, nothing, away, score), ("a",), images=count)
        found = calibration(matches)
        assert found.count.sum() == (score >= found.least).sum()
        assert found.ece is not None
        return found.ece

    assert ece(rng.random(count) < score) < 0.02
    assert ece(rng.random(count) < score / 2) == pytest.approx(0.26, abs=0.02)
    assert ece(np.zeros(count, np.bool_)) == pytest.approx(score[score >= 0.05].mean(), abs=1e-9)


def test_without_detections_there_is_nothing_to_calibrate() -> None:
    nothing = np.zeros(0, np.int64)
    objects = Objects(nothing, nothing, np.zeros((0, 4)), np.zeros(0, np.bool_))
    none = Found(nothing, nothing, np.zeros((0, 4)), np.zeros(0))
    matches = match(objects, none, ("a",), images=1)
    found = calibration(matches)
    assert found.ece is None
    assert all(row["precision"] is None for row in found.as_json()["bins"])
    assert best_threshold(matches, 0).confidence is None


@given(seed=seeds, least=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_confusion_counts_everything_once(seed: int, least: float) -> None:
    matches = sheet_of(seed).matches("bbox")
    counts = confusion(matches, [least] * len(matches.names)).counts
    size = len(matches.names)
    objects = matches.objects_by_image.sum(axis=1)
    np.testing.assert_array_equal(counts[:size].sum(axis=1), objects)
    shown = (matches.found.score >= least) & matches.counted[0]
    found = np.bincount(matches.found.category[shown], minlength=size)
    np.testing.assert_array_equal(counts[:, :size].sum(axis=0), found)
    assert counts[size, size] == 0
