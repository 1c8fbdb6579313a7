"""Every wrong detection has one kind, and a kind costs what its mending gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from detect_tl.evaluation.error_types import KINDS, MEANINGS, find_errors
from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.mistakes import find_mistakes, worst_images
from detect_tl.evaluation.precision import average_precision, mean_ap
from detect_tl.evaluation.sheet import make_sheet
from tests.evaluation.test_coco_eval import NAMES, found, thing, truth_of
from tests.evaluation.test_matching import seeds, sheet_of

OBJECTS = [thing(5, 5, 20), thing(50, 5, 20, name="dog")]


def matches_of(*rows: Any) -> Matches:
    sheet = make_sheet(truth_of(*OBJECTS), [(10, found(*rows))], names=NAMES)
    return sheet.matches("bbox")


RIGHT = ((5, 5, 20, 0.9, "cat"), (50, 5, 20, 0.8, "dog"))


@pytest.mark.parametrize(
    ("rows", "kind", "missed"),
    [
        ([*RIGHT, (50, 5, 20, 0.7, "cat")], "class", 0),
        ([RIGHT[0], (60, 5, 20, 0.7, "dog")], "location", 0),
        ([*RIGHT, (60, 5, 20, 0.7, "bird")], "both", 0),
        ([*RIGHT, (5, 6, 20, 0.7, "cat")], "duplicate", 0),
        ([*RIGHT, (5, 55, 20, 0.7, "cat")], "background", 0),
        ([RIGHT[0], (5, 55, 20, 0.7, "dog")], "background", 1),
    ],
)
def test_kinds(rows: list[Any], kind: str, missed: int) -> None:
    errors = find_errors(matches_of(*rows))
    counts = {name: count for name, count in errors.counts.items() if count}
    assert counts == {kind: 1} | ({"missed": missed} if missed else {})


def test_what_a_kind_costs() -> None:
    # a false alarm before the only other one: AP of cats is 1/2, of dogs 0 for it is not found
    errors = find_errors(matches_of((5, 55, 20, 0.95, "cat"), RIGHT[0]))
    assert errors.ap50 == pytest.approx(0.25)
    assert errors.cost["background"] == pytest.approx(0.25)
    assert errors.cost["missed"] == pytest.approx(0.5)
    assert errors.false_positives == pytest.approx(0.25)
    assert errors.false_negatives == pytest.approx(0.5)
    others = {kind: cost for kind, cost in errors.cost.items() if cost}
    assert set(others) == {"background", "missed"}


def test_a_class_that_is_mended_finds_its_object() -> None:
    errors = find_errors(matches_of(RIGHT[0], (50, 5, 20, 0.95, "cat")))
    assert errors.counts["missed"] == 0
    assert errors.ap50 == pytest.approx(0.25)
    assert errors.cost["class"] == pytest.approx(0.75)


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_every_wrong_detection_has_a_kind_and_mending_never_harms(seed: int) -> None:
    matches = sheet_of(seed).matches("bbox")
    errors = find_errors(matches)
    np.testing.assert_array_equal(errors.kind >= 0, matches.wrong())
    assert sum(errors.counts[kind] for kind in KINDS[:-1]) == matches.wrong().sum()
    assert not (errors.missed & ~matches.missed()).any()
    whole = mean_ap(average_precision(matches)[:1])
    if np.isnan(whole):
        assert np.isnan(errors.ap50)
        return
    assert errors.ap50 == pytest.approx(whole, abs=1e-12)
    for cost in (*errors.cost.values(), errors.false_positives, errors.false_negatives):
        assert 0 <= cost <= 1 - errors.ap50 + 1e-9


def test_every_kind_is_explained() -> None:
    assert set(MEANINGS) == set(KINDS)


def test_mistakes_are_told_from_doubtful_labels_by_confidence() -> None:
    rows = [RIGHT[0], (5, 55, 20, 0.9, "cat"), (50, 50, 20, 0.3, "cat"), (80, 60, 9, 0.1, "cat")]
    matches = matches_of(*rows)
    found_mistakes = find_mistakes(matches, find_errors(matches), [0.25] * 3)
    texts = {kind: [m.text for m in some] for kind, some in found_mistakes.items()}
    assert texts == {
        "label?": ["cat, where nothing is labelled"],
        "false alarm": ["cat, where nothing is labelled"],
        "missed": ["dog not found"],
    }
    assert worst_images(matches, [0.25] * 3) == [(0, 1, 2)]


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_mistakes_are_all_wrong_detections_that_are_shown_and_all_objects_not_found(
    seed: int,
) -> None:
    matches = sheet_of(seed).matches("bbox")
    least = [0.4] * len(matches.names)
    mistakes = find_mistakes(matches, find_errors(matches), least)
    shown = matches.found.score >= 0.4
    alarms = len(mistakes["false alarm"]) + len(mistakes["label?"])
    assert alarms == (shown & matches.wrong()).sum()
    met = matches.met[0][shown]
    not_found = (~matches.objects.crowd).sum() - len(
        {o for o in met[met >= 0].tolist() if not matches.objects.crowd[o]}
    )
    assert len(mistakes["missed"]) == not_found
    total = sum(missed + wrong for _, missed, wrong in worst_images(matches, least))
    assert total == alarms + not_found
