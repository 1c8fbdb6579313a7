"""What follows from a ranking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detect_tl.evaluation.ranking import Candidate, Depth, Ranking


def depth(name: str, frozen: int, score: float) -> Depth:
    return Depth(name, frozen, score, score, -0.5)


def candidate(name: str, score: float, *depths: Depth) -> Candidate:
    return Candidate(name, Path(f"{name}.pt"), 100, score, (), 1.0, depths)


def ranking(*candidates: Candidate) -> Ranking:
    return Ranking(Path("data"), 8, 20, 320, candidates, {"c": "refused"}, 2.0)


NECK, BACKBONE, FIVE = (("neck", 23), ("backbone", 11), ("5", 5))


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((0.5, 0.5, 0.5), "neck"),
        ((0.49, 0.5, 0.5), "neck"),  # as good as
        ((0.4, 0.5, 0.6), "5"),
        ((0.4, 0.6, 0.5), "backbone"),
        ((0.0, 0.0, 0.0), "neck"),
    ],
)
def test_as_much_stays_frozen_as_does_no_harm(
    scores: tuple[float, float, float], kept: str
) -> None:
    depths = [depth(*part, s) for part, s in zip((NECK, BACKBONE, FIVE), scores, strict=True)]
    for order in (depths, depths[::-1]):
        found = candidate("a", 0.3, *order).keep
        assert found is not None
        assert found.name == kept


def test_the_verdict_names_weights_and_depth() -> None:
    first, close = candidate("a", 0.3, depth(*BACKBONE, 0.5)), candidate("b", 0.29)
    assert ranking(first, close).verdict == "start from a, --freeze backbone; b about as good"
    assert ranking(first, candidate("b", 0.1)).verdict == "start from a, --freeze backbone"
    assert ranking(candidate("b", 0.3)).verdict == "start from b"


def test_where_nothing_is_found_nothing_is_suggested() -> None:
    said = ranking(candidate("a", 0.004, depth(*BACKBONE, 0.5)), candidate("b", 0.0)).verdict
    assert "does not say which is best" in said


def test_a_ranking_is_json() -> None:
    found = ranking(candidate("a", 0.3, depth(*NECK, 0.2)), candidate("b", 0.1))
    said = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert said == found.as_json()
    assert said["candidates"][0]["depths"][0]["freeze"] == said["candidates"][0]["freeze"] == "neck"
    assert said["candidates"][1]["freeze"] is None
    assert said["left_out"] == {"c": "refused"}
