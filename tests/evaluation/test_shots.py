"""What a study of a handful says: numbers against scipy, and its sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import stats

from detect_tl.core.errors import UsageError
from detect_tl.evaluation.plots import write_study
from detect_tl.evaluation.shots import Shots, Study, Trial


def shots(count: int, imprinted: Sequence[float], tuned: Sequence[float]) -> Shots:
    pairs = enumerate(zip(imprinted, tuned, strict=True))
    return Shots(count, tuple(Trial(k, count + k, a, b, 2.0, 20.0) for k, (a, b) in pairs))


LOST = shots(1, [0.2, 0.21, 0.19], [0.1, 0.1, 0.1])
OPEN = shots(5, [0.3, 0.31, 0.2], [0.3, 0.35, 0.1])
WON = shots(10, [0.3, 0.31, 0.3], [0.5, 0.5, 0.52])


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    ours = [trial.tuned for trial in OPEN.trials]
    expected = stats.ttest_rel(ours, [t.imprinted for t in OPEN.trials]).confidence_interval(0.95)
    assert (OPEN.gain.low, OPEN.gain.high) == pytest.approx((expected.low, expected.high))
    assert OPEN.imprinted.mean == pytest.approx(0.27)
    assert OPEN.images == 6
    assert OPEN.seconds == (2.0, 20.0)
    assert [row.answer for row in (LOST, OPEN, WON)] == ["no", "not shown", "yes"]


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ((LOST,), "imprinting alone is better with 1 picture of a class"),
        (
            (LOST, OPEN, WON),
            (
                "imprinting alone is better with 1 picture of a class; no difference is shown with"
                " 5 pictures of a class; 7 epochs of training are better with 10 pictures of a"
                " class"
            ),
        ),
        (
            (shots(2, [0.1, 0.1], [0.2, 0.2]), WON),
            "7 epochs of training are better with 2 and 10 pictures of a class",
        ),
        ((shots(3, [0.1, 0.1], [0.1, 0.1]),), "no difference is shown with 3 pictures of a class"),
    ],
)
def test_the_verdict_names_how_far_a_handful_goes(rows: tuple[Shots, ...], verdict: str) -> None:
    assert Study(7, rows).verdict == verdict


def test_one_draw_says_nothing() -> None:
    with pytest.raises(UsageError, match="1 seed cannot show"):
        shots(1, [0.1], [0.2])


def test_a_result_is_json() -> None:
    study = Study(7, (LOST, WON))
    said = json.loads(json.dumps(study.as_json(), allow_nan=False))
    assert said == study.as_json()
    assert [row["training_is_better"] for row in said["shots"]] == ["no", "yes"]
    assert said["shots"][1]["trials"][2]["tuned"] == {"mAP50-95": 0.52, "seconds": 20.0}


@pytest.mark.parametrize("rows", [(WON,), (LOST, OPEN, WON), (shots(1, [0, 0], [0, 0]),)])
def test_a_study_is_drawn(tmp_path: Path, rows: tuple[Shots, ...]) -> None:
    write_study(Study(7, rows), "mAP50-95", tmp_path / "a.png")
    image = cv2.imread(str(tmp_path / "a.png"))
    assert np.asarray(image).std() > 5
    assert image.shape[1] > image.shape[0] > 300
