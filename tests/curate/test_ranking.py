"""Laws of the order in which images are best labelled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from detect_tl.core.detections import Detections
from detect_tl.curate.ranking import (
    NOBODY,
    Floats,
    class_doubts,
    doubt,
    in_doubt,
    rank,
    uncertainties,
)

# Whole numbers: doubled and halved, and subtracted from each other, they stay exact.
WHOLE = st.integers(0, 8).map(float)
NONE = np.zeros((0, 2))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    """Uncertainties and features of images, and features of labelled ones."""
    n, m = draw(st.integers(1, 9)), draw(st.integers(0, 3))
    return (
        draw(arrays(np.float64, n, elements=WHOLE)),
        draw(arrays(np.float64, (n, 2), elements=WHOLE)),
        draw(arrays(np.float64, (m, 2), elements=WHOLE)),
    )


def found(*objects: tuple[int, float]) -> Detections:
    ids, scores = zip(*objects, strict=True) if objects else ((), ())
    xyxy = np.zeros((len(objects), 4), np.float32)
    return Detections(xyxy, np.asarray(scores, np.float32), np.asarray(ids, np.int64))


@settings(max_examples=50)
@given(worlds())
def test_every_image_has_a_place(world: tuple[Floats, Floats, Floats]) -> None:
    ranking = rank(*world)
    assert sorted(ranking.order.tolist()) == list(range(len(world[0])))


@settings(max_examples=50)
@given(worlds())
def test_each_is_the_best_of_those_that_are_left(world: tuple[Floats, Floats, Floats]) -> None:
    """So the first N do not depend on N. Checked by the definition, one distance after another."""
    uncertainty, features, labelled = world
    ranking = rank(*world)
    before = list(labelled)
    for step, place in enumerate(ranking.order.tolist()):
        gains = {
            other: uncertainty[other]
            * (min(np.hypot(*(features[other] - b)) for b in before) if before else 1.0)
            for other in ranking.order[step:].tolist()
        }
        assert gains[place] == max(gains.values())
        if before:
            assert ranking.distance[place] == min(np.hypot(*(features[place] - b)) for b in before)
        before.append(features[place])


@settings(max_examples=50)
@given(worlds())
def test_the_nearest_is_one_that_was_labelled_before(
    world: tuple[Floats, Floats, Floats],
) -> None:
    _, features, labelled = world
    ranking = rank(*world)
    seen = np.concatenate([labelled, features])
    step_of = {place: step for step, place in enumerate(ranking.order.tolist())}
    for place, nearest in enumerate(ranking.nearest.tolist()):
        if nearest == NOBODY:
            assert (step_of[place], len(labelled)) == (0, 0)
            assert np.isnan(ranking.distance[place])
            continue
        assert nearest < len(labelled) or step_of[nearest - len(labelled)] < step_of[place]
        assert ranking.distance[place] == np.hypot(*(features[place] - seen[nearest]))


@settings(max_examples=50)
@given(worlds(), st.sampled_from([0.25, 2.0, 1024.0]), st.sampled_from([0.5, 8.0]))
def test_no_scale_matters(world: tuple[Floats, Floats, Floats], unsure: float, far: float) -> None:
    uncertainty, features, labelled = world
    order = rank(*world).order.tolist()
    assert rank(uncertainty * unsure, features * far, labelled * far).order.tolist() == order
    moved = rank(uncertainty, features + 16, labelled + 16)
    assert moved.order.tolist() == order


@settings(max_examples=50)
@given(worlds())
def test_copies_come_last(world: tuple[Floats, Floats, Floats]) -> None:
    """An image that looks like a labelled one, or like one before it, teaches nothing more."""
    uncertainty, features, labelled = world
    doubled = np.concatenate([features, features])
    ranking = rank(np.tile(uncertainty + 1, 2), doubled, labelled)
    gone = (ranking.distance[ranking.order] == 0).tolist()
    assert gone == sorted(gone)
    kinds = len(np.unique(np.concatenate([labelled, features]), axis=0))
    assert gone.count(False) == kinds - len(np.unique(labelled, axis=0))


@settings(max_examples=50)
@given(worlds(), st.integers(0, 99))
def test_the_order_of_the_input_matters_in_ties_alone(
    world: tuple[Floats, Floats, Floats], seed: int
) -> None:
    uncertainty, features, labelled = world
    rng = np.random.default_rng(seed)
    uncertainty = uncertainty + rng.permutation(len(features)) / 64
    features = features + rng.random(features.shape) / 64
    shuffled = rng.permutation(len(features))
    order = rank(uncertainty, features, labelled).order
    again = rank(uncertainty[shuffled], features[shuffled], labelled).order
    assert shuffled[again].tolist() == order.tolist()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_equally_doubted_images_cover_the_rest(k: int) -> None:
    """No image is more than twice as far from the chosen as at best (Gonzalez 1985)."""
    features = np.random.default_rng(k).random((9, 2))
    chosen = rank(np.ones(9), features, NONE).order[:k]

    def radius(centres: Iterable[int]) -> float:
        apart = np.linalg.norm(features[:, None] - features[None, list(centres)], axis=2)
        return float(apart.min(axis=1).max())

    best = min(radius(centres) for centres in combinations(range(9), k))
    assert radius(chosen) <= 2 * best


def test_equally_distant_images_go_by_doubt() -> None:
    features = np.eye(4)
    unsure = np.asarray([0.2, 0.9, 0.1, 0.5])
    assert rank(unsure, features, np.zeros((1, 4))).order.tolist() == [1, 3, 0, 2]
    assert rank(unsure, features, np.zeros((0, 4))).order.tolist() == [1, 3, 0, 2]


def test_what_is_labelled_is_not_looked_for_again() -> None:
    features = np.asarray([[0.0, 0], [5, 0], [0, 4]])
    unsure = np.asarray([3.0, 1, 1])
    assert rank(unsure, features, NONE).order.tolist() == [0, 1, 2]
    ranking = rank(unsure, features, np.asarray([[0.0, 0], [5, 1]]))
    assert ranking.order.tolist() == [2, 1, 0]
    assert ranking.distance.tolist() == [0, 1, 4]
    assert ranking.nearest.tolist() == [0, 1, 0]


@given(st.lists(st.floats(0, 1), max_size=9))
def test_doubt_is_entropy(scores: list[float]) -> None:
    p = np.asarray(scores)
    assert np.allclose(doubt(p), entropy(np.stack([p, 1 - p]), base=2) if scores else 0)
    assert (doubt(np.asarray([0, 0.5, 1])) == [0, 1, 0]).all()


def test_doubts_are_summed_by_class() -> None:
    image = found((2, 0.5), (0, 0.9), (2, 0.5), (0, 0.12))
    assert class_doubts(image, 3)[1:].tolist() == [0, 2]
    assert class_doubts(found(), 3).tolist() == [0, 0, 0]
    assert in_doubt(image, ("a", "b", "c")) == {"a": 1, "c": 2}


def test_classes_count_alike_whatever_their_number_of_objects() -> None:
    doubts = np.asarray([[9.0, 0, 0], [3, 1, 0], [0, 1, 0]])
    found_ = uncertainties(doubts)
    assert np.allclose(found_, [(9 / 4) / 2, (3 / 4 + 3 / 2) / 2, (3 / 2) / 2])
    assert np.allclose(uncertainties(doubts * [1, 100, 1]), found_)
    assert found_.mean() == pytest.approx(1)
    assert uncertainties(np.zeros((2, 3))).tolist() == [0, 0]


def test_where_nothing_is_doubted_what_is_unlike_comes_first() -> None:
    features = np.asarray([[1.0, 0], [9, 0], [2, 0], [5, 0]])
    assert rank(np.zeros(4), features, np.zeros((1, 2))).order.tolist() == [1, 3, 2, 0]
    assert rank(np.asarray([0.0, 0, 1e-9, 0]), features, NONE).order.tolist()[0] == 2
