"""What a detector says of itself: laws of the matching and of the judgement."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Box, box_iou
from detect_tl.evaluation.agreement import LEAST_IOU, Agreement, judge, match_views
from detect_tl.evaluation.pseudo_labels import derive_gates, gates_for, trusted

GATES = (0.25, 0.25)


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Rows of x, y, width, height, score and class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    corners = np.hstack([table[:, :2], table[:, :2] + table[:, 2:4]])
    return Detections(
        corners.astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64)
    )


row = st.tuples(
    *[st.integers(0, 12).map(float) for _ in range(2)],
    *[st.integers(4, 10).map(float) for _ in range(2)],
    st.integers(1, 10).map(lambda k: k / 10),
    st.integers(0, 1),
)
several = st.lists(row, max_size=4).map(lambda rows: found(*rows))


def by_hand(one: Detections, other: Detections) -> float:
    """The best of all pairings, tried one by one."""
    small, large = sorted((one, other), key=len)
    if not len(small):
        return 0.0
    best = 0.0
    for places in permutations(range(len(large)), len(small)):
        total = 0.0
        for row_, place in enumerate(places):
            boxes = Box(*map(float, small.xyxy[row_])), Box(*map(float, large.xyxy[place]))
            iou = box_iou(*boxes)
            if iou >= LEAST_IOU and small.class_id[row_] == large.class_id[place]:
                total += iou * min(float(small.score[row_]), float(large.score[place]))
        best = max(best, total)
    return best


@given(several, several)
def test_evidence_is_that_of_the_best_pairing(one: Detections, other: Detections) -> None:
    rows = Agreement.of([(one, other), (other, one)], GATES)
    assert rows.found[0] == pytest.approx(by_hand(one, other), abs=1e-6)
    assert rows.found[0] == pytest.approx(rows.found[1], abs=1e-6)
    assert rows.found[0] <= rows.claimed[0] + 1e-6
    match = match_views(one, other)
    assert len(set(match.one)) == len(match.one)
    assert len(set(match.other)) == len(match.other)
    assert (one.class_id[match.one] == other.class_id[match.other]).all()


@given(several)
def test_who_says_the_same_twice_agrees(one: Detections) -> None:
    rows = Agreement.of([(one, one)], GATES)
    assert rows.share == pytest.approx(1.0 if len(one) else 0.0)
    assert rows.objects[0] == (one.score >= 0.25).sum()


SURE = found((0, 0, 10, 10, 0.9, 0))
DOUBT = found((0, 0, 10, 10, 0.3, 0))
NOTHING = Detections.empty()


def agreement(*pairs: tuple[Detections, Detections]) -> Agreement:
    return Agreement.of(pairs, GATES)


def test_the_same_model_is_not_better() -> None:
    same = agreement(*[(SURE, DOUBT), (SURE, SURE), (NOTHING, DOUBT)] * 5)
    assert not judge(same, same).better
    assert judge(same, same).agreement.value == judge(same, same).found.value == 0


def test_more_that_is_found_again_is_better() -> None:
    before = agreement(*[(DOUBT, NOTHING), (DOUBT, DOUBT)] * 10)
    after = agreement(*[(DOUBT, DOUBT), (SURE, SURE)] * 10)
    judgement = judge(before, after)
    assert judgement.better
    assert judgement.agreement.low is not None
    assert judgement.agreement.low > 0
    assert not judge(after, before).better
    assert judge(before, after) == judgement  # seeded


def test_who_falls_silent_is_not_better_although_it_agrees() -> None:
    before = agreement(*[(SURE, DOUBT), (SURE, DOUBT), (SURE, SURE)] * 7)
    after = agreement(*[(NOTHING, NOTHING), (SURE, SURE), (NOTHING, NOTHING)] * 7)
    judgement = judge(before, after)
    assert judgement.agreement.value > 0
    assert not judgement.better


def test_a_flood_of_objects_is_not_plausible() -> None:
    flood = found(*[(20.0 * k, 0, 10, 10, 0.9, 0) for k in range(9)])
    before, after = agreement(*[(SURE, DOUBT)] * 12), agreement(*[(flood, flood)] * 12)
    judgement = judge(before, after)
    assert not judgement.plausible
    assert not judgement.better
    assert "3-fold" in judgement.reason


def test_who_has_lost_its_objects_may_find_them_again() -> None:
    """Where training had nine in a picture, nine are plausible, and ninety are not."""
    nine = found(*[(20.0 * k, 0, 10, 10, 0.9, 0) for k in range(9)])
    ninety = found(*[(20.0 * k, 0, 10, 10, 0.9, 0) for k in range(90)])
    before = agreement(*[(SURE, DOUBT)] * 12)
    assert judge(before, agreement(*[(nine, nine)] * 12), expected=9.0).better
    assert not judge(before, agreement(*[(ninety, ninety)] * 12), expected=9.0).plausible


def test_few_pictures_are_not_enough_to_be_sure() -> None:
    assert not judge(agreement((DOUBT, DOUBT)), agreement((SURE, SURE))).better


def test_a_gate_lies_where_views_confirm() -> None:
    """Of scores .9 to .5 all are found again, below none."""
    pairs = [(found((0, 0, 10, 10, k / 10, 0)), SURE if k >= 5 else NOTHING) for k in range(1, 10)]
    gates = derive_gates(pairs, ["a", "b"])
    # five of six are still 83 %
    assert gates == {"a": pytest.approx(0.4), "b": 0.9}


def test_a_runs_own_threshold_goes_first() -> None:
    pairs = [(SURE, SURE)]
    gates, origin = gates_for(["a", "b"], {"a": 0.37}, pairs)
    assert gates == {"a": 0.37, "b": 0.9}
    assert "where a class has none" in origin
    assert "own" in gates_for(["a"], {"a": 0.3}, pairs)[1]
    assert "own" not in gates_for(["a"], {}, pairs)[1]


def test_taught_is_what_is_sure_and_confirmed() -> None:
    one = found((0, 0, 10, 10, 0.9, 0), (40, 0, 10, 10, 0.9, 0), (80, 0, 10, 10, 0.3, 0))
    other = found((80, 0, 10, 10, 0.9, 0), (1, 0, 10, 10, 0.3, 0), (40, 0, 10, 10, 0.9, 1))
    assert trusted(one, other, (0.5, 0.5)).tolist() == [0]
    assert trusted(one, other, (0.2, 0.5)).tolist() == [0, 2]
