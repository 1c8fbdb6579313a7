"""The three benefits: laws that hold for any curves, and the interval against scipy.stats."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from detect_tl.core.errors import DataError, UsageError
from detect_tl.evaluation.benefit import (
    Benefit,
    CatchUp,
    Interval,
    Measure,
    mean_course,
    measure_benefit,
    t_interval,
)
from detect_tl.evaluation.course import NAMES, Course, course_of
from detect_tl.evaluation.plots import read_curves, write_benefit

accuracies = st.integers(0, 1000).map(lambda value: value / 1000)


@st.composite
def sides(draw: st.DrawFn) -> tuple[list[Course], list[Course]]:
    """Runs of two to five seeds, and of one to nine epochs, on both sides."""
    seeds, epochs = draw(st.integers(2, 5)), draw(st.integers(1, 9))
    values = st.lists(accuracies, min_size=epochs + 1, max_size=epochs + 1)
    drawn = [[course(draw(values), seed) for seed in range(seeds)] for _ in range(2)]
    return drawn[0], drawn[1]


def course(values: Sequence[float], seed: int = 0) -> Course:
    """A run of which every epoch takes two seconds."""
    return Course(seed, tuple(values), tuple(2.0 * k for k in range(len(values))))


def courses(*rows: Sequence[float]) -> list[Course]:
    return [course(values, seed) for seed, values in enumerate(rows)]


def shifted(runs: Sequence[Course], by: float) -> list[Course]:
    return [replace(run, values=tuple(value + by for value in run.values)) for run in runs]


def answers(benefit: Benefit) -> dict[str, str]:
    return {measure.name: measure.answer for measure in benefit.measures}


# -- numbers of a run ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "start", "slope", "asymptote"),
    [
        ([0.1, 0.3], 0.1, 0.2, 0.3),  # one epoch is a third of itself
        ([0.1, 0.2, 0.9], 0.1, 0.1, 0.9),
        ([0.0, 0.1, 0.4, 0.5, 0.5, 0.5, 0.45], 0.0, 0.2, 0.5),  # two of six epochs
        ([0.6, 0.2, 0.3, 0.5], 0.6, -0.4, 0.5),  # best.pt is never the start
    ],
)
def test_numbers_of_a_run(
    values: list[float], start: float, slope: float, asymptote: float
) -> None:
    run = course(values)
    assert [run.of(name) for name in NAMES] == pytest.approx([start, slope, asymptote])


def test_a_course_is_read_from_the_metrics_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(
        "epoch,time,train/box_loss,metrics/mAP50-95(B),metrics/mAP50-95(M),lr\n"
        "0,0,nan,.1,.2,\n1,5.5,2,.3,.4,.01\n"
    )
    boxes = course_of(read_curves(path), "metrics/mAP50-95(B)", seed=4, path=path)
    assert boxes == Course(4, (0.1, 0.3), (0.0, 5.5))
    masks = course_of(read_curves(path), "metrics/mAP50-95(M)", seed=4, path=path)
    assert masks.values == (0.2, 0.4)


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "0,0,.1\n",  # a start, and no epoch
        "1,5,.1\n2,9,.2\n",  # no start
        "0,0,.1\n2,9,.2\n",
        "0,0,.1\n1,5,\n",
        "0,0,nan\n1,5,.1\n",
    ],
)
def test_a_run_with_gaps_is_no_course(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(f"epoch,time,mAP\n{rows}")
    with pytest.raises(DataError, match=r"metrics\.csv.*does not hold"):
        course_of(read_curves(path), "mAP", seed=0, path=path)
    with pytest.raises(DataError, match="does not hold"):
        course_of(read_curves(path), "another", seed=0, path=path)


# -- the interval ----------------------------------------------------------------------------


@given(st.lists(st.tuples(accuracies, accuracies), min_size=2, max_size=12))
def test_the_interval_is_that_of_a_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = map(np.asarray, zip(*pairs, strict=True))
    differences = (ours - theirs).tolist()
    found = t_interval(differences)
    assert found.mean == pytest.approx(float(np.mean(differences)), abs=1e-12)
    if len(set(differences)) == 1:
        assert found == Interval(differences[0], differences[0], differences[0])
        return
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_covers_the_truth_as_often_as_it_says(seeds: int) -> None:
    rng, truth, times = np.random.default_rng(11), 0.03, 4000
    samples = rng.normal(truth, 0.02, (times, seeds)).tolist()
    intervals = [t_interval(sample) for sample in samples]
    covered = sum(found.low <= truth <= found.high for found in intervals) / times
    assert covered == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / times))


# -- laws ------------------------------------------------------------------------------------


@given(sides(), st.floats(-0.5, 0.5))
def test_what_lifts_both_sides_changes_no_difference(
    runs: tuple[list[Course], list[Course]], by: float
) -> None:
    ours, theirs = runs
    before = measure_benefit(ours, theirs)
    after = measure_benefit(shifted(ours, by), shifted(theirs, by))
    for one, other in zip(before.measures, after.measures, strict=True):
        assert _limits(other) == pytest.approx(_limits(one), abs=1e-9)


@given(sides())
def test_exchanged_sides_negate_the_differences(runs: tuple[list[Course], list[Course]]) -> None:
    there, back = measure_benefit(*runs), measure_benefit(*reversed(runs))
    opposite = {"yes": "no", "no": "yes", "not shown": "not shown"}
    for one, other in zip(there.measures, back.measures, strict=True):
        mean, low, high = _limits(other)
        assert (-mean, -high, -low) == pytest.approx(_limits(one), abs=1e-12)
        if min(map(abs, _limits(one))) > 1e-9:  # 0 itself is where rounding decides
            assert other.answer == opposite[one.answer]


@given(sides())
def test_the_same_runs_on_both_sides_show_nothing(runs: tuple[list[Course], list[Course]]) -> None:
    same = measure_benefit(runs[0], runs[0])
    assert set(answers(same).values()) == {"not shown"}
    assert all(measure.verdict == "not shown: both are the same" for measure in same.measures)
    assert same.verdict.startswith("no benefit here")


@given(sides())
def test_a_result_is_json_without_gaps(runs: tuple[list[Course], list[Course]]) -> None:
    result = measure_benefit(*runs)
    assert json.loads(json.dumps(result.as_json(), allow_nan=False)) == result.as_json()
    assert result.verdict
    assert result.catch_up


@given(sides())
def test_nothing_before_the_epoch_of_catching_up_is_as_good(
    runs: tuple[list[Course], list[Course]],
) -> None:
    for run, other, found in zip(*runs, measure_benefit(*runs).catch_ups, strict=True):
        assert other.values[found.scratch_epoch] == found.best == other.asymptote
        before = run.values if found.epoch is None else run.values[: found.epoch]
        assert all(value < found.best for value in before)
        if found.epoch is not None:
            assert run.values[found.epoch] >= found.best
            assert found.seconds == run.seconds[found.epoch]


def _limits(measure: Measure) -> tuple[float, float, float]:
    return measure.difference.mean, measure.difference.low, measure.difference.high


# -- words -----------------------------------------------------------------------------------

HIGH = ([0.3, 0.5, 0.6, 0.61], [0.31, 0.52, 0.6, 0.6], [0.3, 0.51, 0.59, 0.6])
LOW = ([0.0, 0.1, 0.3, 0.4], [0.0, 0.11, 0.31, 0.41], [0.01, 0.1, 0.28, 0.4])
NOISY = ([0.0, 0.2, 0.1, 0.7], [0.0, 0.1, 0.2, 0.3], [0.02, 0.0, 0.4, 0.4])


@pytest.mark.parametrize(
    ("ours", "theirs", "expected", "words"),
    [
        (HIGH, LOW, "yes yes yes", "helps on this data: a higher start, slope and asymptote"),
        (LOW, HIGH, "no no no", "does not help on this data: scratch has the higher start, "),
        (HIGH, NOISY, "yes not not", "a higher start; a higher slope or asymptote is not shown"),
        (NOISY, LOW, "not not not", "no benefit here: with 3 seeds none of the three is shown"),
        (HIGH, HIGH, "not not not", "does not prove that there is none"),
        (
            ([0.3, 0.3, 0.31, 0.32], [0.31, 0.31, 0.32, 0.32], [0.3, 0.31, 0.32, 0.33]),
            LOW,
            "yes no no",
            "helps in part: a higher start, but scratch has the higher slope and asymptote",
        ),
    ],
)
def test_a_verdict_is_a_plain_sentence(
    ours: Sequence[Sequence[float]],
    theirs: Sequence[Sequence[float]],
    expected: str,
    words: str,
) -> None:
    found = measure_benefit(courses(*ours), courses(*theirs))
    assert " ".join(answer.partition(" ")[0] for answer in answers(found).values()) == expected
    assert words in found.verdict


def test_each_answer_names_how_much_and_how_sure() -> None:
    won = measure_benefit(courses(*HIGH), courses(*LOW)).measures[0].verdict
    assert won == "yes: 0.300 more with transfer (95 % interval 0.275 to 0.325)"
    lost = measure_benefit(courses(*LOW), courses(*HIGH)).measures[0].verdict
    assert lost == "no: scratch is better by 0.300 (95 % interval 0.275 to 0.325)"
    open_ = measure_benefit(courses(*NOISY), courses(*LOW)).measures[2].verdict
    assert open_.startswith("not shown: the 95 % interval of the difference, -0.")
    assert open_.endswith("contains 0")


def test_rounding_is_no_benefit() -> None:
    """0.4 - 0.1 is a little more than 0.3, for every seed alike."""
    risen, other = [0.1, 0.4], [0.0, 0.3]
    assert risen[1] - risen[0] > other[1] - other[0]
    found = measure_benefit(courses(risen, risen), courses(other, other))
    assert answers(found) == {"start": "yes", "slope": "not shown", "asymptote": "yes"}
    assert found.measures[1].verdict == "not shown: both are the same"


def test_an_interval_that_touches_zero_shows_nothing() -> None:
    for low, high in ((0.0, 0.2), (-0.2, 0.0), (0.0, 0.0)):
        measure = Measure("start", (0.1,), (0.0,), Interval(0.1, low, high))
        assert measure.answer == "not shown"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (0.25, "0.250"), (0.0004, "0.0004"), (-1e-6, "-1e-06"), (-1e-17, "0.000")],
)
def test_what_is_not_zero_does_not_read_as_zero(value: float, text: str) -> None:
    """Else "yes" could stand beside an interval from 0.000 on."""
    assert Measure("asymptote", (), (), Interval(0, 0, 0)).text(value) == text


def test_when_transfer_was_as_good_as_scratch_ever_was() -> None:
    found = measure_benefit(courses(*HIGH), courses(*LOW))
    assert found.catch_ups[0] == CatchUp(0, 0.4, 1, 2.0, 3, 6.0)
    assert found.catch_up == (
        "transfer reached the best of scratch with 3 of 3 seeds: on average in epoch 1, after 2 s;"
        " scratch itself in epoch 3, after 6 s"
    )
    never = measure_benefit(courses(*LOW), courses(*HIGH))
    assert never.catch_up == "transfer never reached the best of scratch, with any of 3 seeds"
    nothing = measure_benefit(courses([0.0, 0], [0, 0]), courses([0, 0], [0, 0]))
    assert nothing.catch_up == "scratch learned nothing in 1 epoch"  # and not: was reached at once


def test_runs_that_cannot_be_paired_are_refused() -> None:
    one, two = courses([0, 0.1]), courses([0, 0.1], [0, 0.2])
    with pytest.raises(UsageError, match="1 seed cannot show"):
        measure_benefit(one, one)
    with pytest.raises(UsageError, match="different seeds"):
        measure_benefit(two, [course([0, 0.1], 0), course([0, 0.1], 7)])
    with pytest.raises(UsageError, match="number of epochs"):
        measure_benefit(two, courses([0, 0.1], [0, 0.2, 0.3]))


# -- the picture -----------------------------------------------------------------------------


def test_the_mean_course_has_an_interval_at_the_start_and_after_every_epoch() -> None:
    found = [at.mean for at in mean_course(courses(*HIGH))]
    assert found == pytest.approx([0.91 / 3, 0.51, 1.79 / 3, 1.81 / 3])


@pytest.mark.parametrize("epochs", [1, 30])
@pytest.mark.parametrize("top", [0.0, 0.02, 1.0])
def test_both_sides_are_drawn(tmp_path: Path, epochs: int, top: float) -> None:
    curve = [top * k / epochs for k in range(epochs + 1)]
    found = measure_benefit(courses(curve, curve), courses(curve, curve[::-1]))
    write_benefit(found, "mAP50-95", tmp_path / "a.png")
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image.shape[1] > image.shape[0] > 300
    assert image.std() > 5
