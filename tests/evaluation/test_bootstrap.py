"""Intervals cover what they say they cover."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from detect_tl.evaluation.bootstrap import bootstrap, draws, interval, resamples_for
from detect_tl.evaluation.compare import difference, differing
from detect_tl.evaluation.matching import Matches, match
from detect_tl.evaluation.overlaps import Found, Objects
from tests.evaluation.test_matching import sheet_of


def detector(rng: np.random.Generator, images: int, skill: float) -> Matches:
    """A model that finds an object with a chance that the image decides, among false alarms."""
    hard = rng.beta(4, 4, images)
    image = np.repeat(np.arange(images), 4)
    spots = np.tile(np.arange(4) * 50.0, images)
    boxes = np.column_stack([spots, spots, np.full((len(spots), 2), 20.0)])
    nothing = np.zeros(len(image), np.int64)
    objects = Objects(image, nothing, boxes, np.zeros(len(image), np.bool_))
    hit = rng.random(len(image)) < skill * (1 - hard[image] / 2)
    away = np.where(hit[:, None], boxes, boxes + np.array([1000, 0, 0, 0]))
    score = np.clip(rng.normal(0.4 + 0.2 * hit, 0.15), 0, 1)
    found = Found(image, nothing, away, score)
    return match(objects, found, ("thing",), images=images)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """The true value is what the same detector reaches on very many images."""
    rng = np.random.default_rng(5)
    true = float(bootstrap(detector(rng, 100_000, 0.8), draws(100_000, 0)).value[0, 0])
    inside, runs = 0, 500
    for run in range(runs):
        matches = detector(rng, 25, 0.8)
        found = bootstrap(matches, draws(25, 250, seed=run)).of_map(0, confidence=0.9)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= true <= found.high
    # three standard errors of a share of .9 over 500 runs are .04; a bootstrap of so few images
    # falls short of it by a point or two
    assert 0.84 <= inside / runs <= 0.94


def test_a_paired_difference_of_equals_is_rarely_shown() -> None:
    rng = np.random.default_rng(8)
    shown = 0
    for run in range(60):
        drawn = draws(40, 200, seed=run)
        ours, theirs = (bootstrap(detector(rng, 40, 0.7), drawn) for _ in range(2))
        shown += difference(ours, theirs).verdict in ("better", "worse")
    assert shown / 60 < 0.15


def test_a_real_difference_is_shown() -> None:
    rng = np.random.default_rng(9)
    drawn = draws(60, 400)
    good, poor = (bootstrap(detector(rng, 60, skill), drawn) for skill in (0.95, 0.5))
    found = difference(good, poor)
    assert found.verdict == "better"
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert difference(poor, good).verdict == "worse"
    same = difference(good, good)
    assert (same.points.low, same.points.high, same.p_value) == (0, 0, 1)


@given(seed=st.integers(0, 2**16), images=st.integers(1, 30), resamples=st.integers(0, 5))
def test_draws_are_of_as_many_images_and_always_the_same(
    seed: int, images: int, resamples: int
) -> None:
    drawn = draws(images, resamples, seed)
    assert drawn.shape == (resamples, images)
    assert (drawn.sum(axis=1) == images).all()
    more = draws(images, resamples + 3, seed)
    np.testing.assert_array_equal(more[:resamples], drawn)


def test_an_interval_holds_its_value_and_widens_with_fewer_images() -> None:
    many, few = (
        bootstrap(detector(np.random.default_rng(1), n, 0.8), draws(n, 500)).of_map(0)
        for n in (200, 12)
    )
    for each in (many, few):
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high
    assert few.high - few.low > 2 * (many.high - many.low)


def test_what_cannot_be_known_has_no_interval() -> None:
    assert interval(0.5, np.full(100, 0.5), units=1).low is None
    assert interval(0.5, np.full(100, np.nan), units=9).low is None
    assert interval(float("nan"), np.zeros(9), units=9).low is None
    assert str(interval(0.5, np.zeros(0), units=9)) == "0.500"


def test_a_class_that_a_resample_lacks_does_not_count_in_it() -> None:
    sheet = sheet_of(4)
    matches = sheet.matches("bbox")
    found = bootstrap(matches, draws(matches.images, 50))
    assert np.isnan(found.drawn).any()
    assert not np.isnan([found.of_map().low, found.of_map().high]).any()


def test_fewer_resamples_of_very_many_detections() -> None:
    assert resamples_for(1000) == 1000
    assert 100 <= resamples_for(500_000) < 1000
    assert resamples_for(10**7, 20) == 20


def test_what_differs_is_named_with_all_values() -> None:
    a = {"epochs": 3, "same": 1, "packages": {"torch": "1", "numpy": "2"}}
    b = {"epochs": 5, "same": 1, "packages": {"torch": "1", "numpy": "3"}, "new": True}
    assert differing([a, b]) == {
        "epochs": [3, 5],
        "packages.numpy": ["2", "3"],
        "new": [None, True],
    }
    assert differing([a, a]) == differing([a, {}]) == {}
    assert differing([{}, a, b])["epochs"] == [None, 3, 5]
