"""What is said of a search: the best, the default beside it, and how far to trust that."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from detect_tl.evaluation.tuning import Ending, Tried, Tuning, ranked
from detect_tl.evaluation.tuning_page import write_tuning_page
from detect_tl.evaluation.tuning_plot import write_tuning


def tried(number: int, *values: float, began: float = 0.0, ending: Ending = "complete") -> Tried:
    seconds = tuple(10.0 * (k + 1) for k in range(len(values)))
    why = "the loss is no number" if ending == "failed" else ""
    return Tried(number, f"lr {number}", values, seconds, began, ending, why)


THREE = (
    tried(0, 0.2, 0.4, 0.5, 0.45),
    tried(1, 0.1, began=40, ending="stopped"),
    tried(2, 0.3, 0.55, 0.5, 0.6, began=50),
)


def test_the_best_is_compared_with_the_default() -> None:
    tuning = Tuning(THREE, {})
    assert tuning.best is THREE[2]
    assert tuning.verdict == "trial 2 beats the default by 0.100 on val: 0.600 against 0.500"
    assert tuning.caution.endswith("there is no test split to measure it on")
    told = Tuning(THREE, {0: 0.48, 2: 0.52}).caution
    assert told.endswith("by which nothing was chosen, it has 0.520, and the default 0.480")


def test_a_default_that_was_not_beaten_is_said_plainly() -> None:
    tuning = Tuning((THREE[0], THREE[1], tried(2, 0.5)), {0: 0.4})
    assert tuning.best is THREE[0]  # of equal ones the first
    assert tuning.verdict == (
        "the default was not beaten: 0.500, and none of 2 other trials came above it"
    )
    assert tuning.caution.endswith("it has 0.400")
    assert not tuning.as_json()["beaten"]


def test_a_failed_trial_is_last_and_never_the_best() -> None:
    failed = tried(1, 0.9, ending="failed")
    tuning = Tuning((THREE[0], failed, THREE[2]), {})
    assert tuning.best is THREE[2]
    assert [each.number for each in ranked(tuning.trials)] == [2, 0, 1]
    assert failed.row() == ("1", "lr 1", "1", "10", "-", "failed: the loss is no number")


@given(
    st.lists(
        st.tuples(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0, 1000)),
        min_size=1,
        max_size=8,
    )
)
def test_the_best_over_time_rises_to_the_best(drawn: list[tuple[list[float], float]]) -> None:
    trials = [tried(k, *values, began=began) for k, (values, began) in enumerate(drawn)]
    tuning = Tuning(tuple(trials), {})
    seconds, values = zip(*tuning.best_over_time(), strict=True)
    assert list(seconds) == sorted(seconds)
    assert all(a < b for a, b in pairwise(values))
    assert values[-1] == tuning.best.best == max(max(each.values) for each in trials)


@pytest.mark.parametrize("trials", [THREE, THREE[:1], (tried(0, 0.0),)])
def test_picture_and_page_are_written_for_any_number_of_trials(
    trials: tuple[Tried, ...], tmp_path: Path
) -> None:
    tuning = Tuning(trials, {})
    write_tuning(tuning, "mAP50-95", tmp_path / "tune.png")
    with Image.open(tmp_path / "tune.png") as image:
        assert image.width > 1000
    told = {"metric": "mAP50-95", "data": "<b>", "weights": "yolo11n", "epochs": 4}
    told |= {"best": "trials/002/report.html", "command": "detect-tl train 'a b' --lr 0.1"}
    write_tuning_page(tmp_path / "report.html", tuning, told)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2
    assert page.count('href="trials/0') == len(trials) + 1
    assert "&lt;b&gt;" in page
