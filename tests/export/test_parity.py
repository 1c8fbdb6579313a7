"""The gate's arithmetic: what it must see, and what it must let pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from detect_tl.core.errors import GateError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.gate_images import GateImage
from detect_tl.export.parity import TOLERANCES, measure_parity, require_parity

SPEC = ModelSpec(names=("a", "b"), imgsz=(64, 64))
END2END = replace(SPEC, end2end=True)
SEGMENT = replace(SPEC, task="segment")
PICTURES = [GateImage(f"{k}", np.full((48, 64, 3), 40 * k, np.uint8)) for k in range(3)]

Rows = list[tuple[float, float, float, float, float, float]]
"""cx, cy, w, h, score of "a", score of "b"."""

THREE: Rows = [(20, 20, 10, 10, 0.9, 0.1), (40, 40, 16, 8, 0.2, 0.6), (50, 20, 9, 9, 0.01, 0.02)]


class Fixed:
    """A backend that always gives the same answer."""

    def __init__(self, rows: Rows, spec: ModelSpec = SPEC, mask: float = 1.0) -> None:
        self.spec = spec
        values = np.array(rows, np.float32)
        if spec.end2end:
            corners = [values[:, :2] - values[:, 2:4] / 2, values[:, :2] + values[:, 2:4] / 2]
            best = values[:, 4:].max(axis=1, keepdims=True)
            label = values[:, 4:].argmax(axis=1)[:, None]
            self._answer = [np.hstack([*corners, best, label]).astype(np.float32)[None]]
        else:
            self._answer = [values.T[None]]
        if spec.task == "segment":
            coefficients = np.ones((1, 2, len(rows)), np.float32)
            self._answer[0] = np.concatenate((self._answer[0], coefficients), axis=1)
            ramp = np.linspace(-1, 2, 256, dtype=np.float32).reshape(1, 1, 16, 16)
            self._answer.append(np.concatenate((ramp * mask, ramp), axis=1))

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [np.repeat(part, len(batch), axis=0) for part in self._answer]

    def close(self) -> None:
        self._answer = []


def moved(index: int, column: int, by: float) -> Rows:
    rows = [list(row) for row in THREE]
    rows[index][column] += by
    return [tuple(row) for row in rows]  # type: ignore[misc]


@pytest.mark.parametrize("spec", [SPEC, END2END, SEGMENT])
def test_a_model_agrees_with_itself(spec: ModelSpec) -> None:
    report = measure_parity(Fixed(THREE, spec), Fixed(THREE, spec), PICTURES)
    require_parity(report)
    assert (report.score, report.box, report.problems, report.notes) == (0.0, 0.0, [], [])
    assert [image.detections for image in report.images] == [(2, 2)] * 3


@pytest.mark.parametrize(
    ("index", "column", "by", "says"),
    [
        (0, 4, -0.01, "a score differs by 0.01 (allowed 0.001)"),
        (2, 5, 0.05, "a score differs by 0.05"),  # also where no detection is shown
        (0, 0, 0.5, "a box differs by 0.5 px (allowed 0.1)"),
        (1, 2, 4.0, "a box differs by 2 px"),
        (2, 4, 0.5, "detections have no like"),  # one that only the export shows
        (0, 4, -0.8, "detections have no like"),  # one that only the checkpoint shows
        (0, 4, float("nan"), "a score differs by inf"),
    ],
)
@pytest.mark.parametrize("spec", [SPEC, END2END])
def test_a_difference_is_named(
    spec: ModelSpec, index: int, column: int, by: float, says: str
) -> None:
    if spec.end2end and (index, column) == (2, 5):
        says = "a score differs by 0.05"
    report = measure_parity(Fixed(THREE, spec), Fixed(moved(index, column, by), spec), PICTURES)
    assert any(says in problem for problem in report.problems), report.problems
    with pytest.raises(GateError, match="answers differently"):
        require_parity(report)


def test_a_class_that_changes_places_is_seen() -> None:
    swapped = [(*row[:4], row[5], row[4]) for row in THREE]
    report = measure_parity(Fixed(THREE, END2END), Fixed(swapped, END2END), PICTURES)
    assert any("no like" in problem for problem in report.problems)


def test_masks_that_differ_are_seen() -> None:
    report = measure_parity(Fixed(THREE, SEGMENT), Fixed(THREE, SEGMENT, mask=1.1), PICTURES)
    assert report.mask == pytest.approx(0.1, rel=1e-3)
    assert any("a mask differs by 0.1" in problem for problem in report.problems)


def test_a_score_on_either_side_of_the_threshold_is_no_difference() -> None:
    near = [(*THREE[0][:4], 0.2502, 0.0), *THREE[1:]]
    below = [(*THREE[0][:4], 0.2498, 0.0), *THREE[1:]]
    report = measure_parity(Fixed(near), Fixed(below), PICTURES)
    assert report.problems == []
    assert report.images[0].detections == (2, 1)


def test_two_classes_of_almost_the_same_score_may_change_places() -> None:
    first = [(*THREE[0][:4], 0.5001, 0.5), *THREE[1:]]
    second = [(*THREE[0][:4], 0.5, 0.5001), *THREE[1:]]
    assert measure_parity(Fixed(first), Fixed(second), PICTURES).problems == []


def test_rows_of_an_end_to_end_model_may_change_places() -> None:
    report = measure_parity(Fixed(THREE, END2END), Fixed(THREE, END2END), PICTURES)
    near = [(20, 20, 10, 10, 0.6001, 0), (40, 40, 16, 8, 0, 0.6)]
    other = [(40, 40, 16, 8, 0, 0.6001), (20, 20, 10, 10, 0.6, 0)]
    report = measure_parity(Fixed(near, END2END), Fixed(other, END2END), PICTURES)
    assert report.problems == []
    assert report.box == 0.0


@pytest.mark.parametrize("size", [(0, 0), (-6, 8), (0, 12)])
def test_a_degenerate_box_is_like_itself_only(size: tuple[float, float]) -> None:
    rows = [(20, 20, *size, 0.9, 0.1), *THREE[1:]]
    assert measure_parity(Fixed(rows, END2END), Fixed(rows, END2END), PICTURES).problems == []
    other = [(35, 20, *size, 0.9, 0.1), *THREE[1:]]
    problems = measure_parity(Fixed(rows, END2END), Fixed(other, END2END), PICTURES).problems
    assert any("no like" in problem for problem in problems)


def test_models_that_find_nothing_pass_with_a_note() -> None:
    silent = [(*row[:4], 0.01, 0.02) for row in THREE]
    report = measure_parity(Fixed(silent), Fixed(silent), PICTURES)
    require_parity(report)
    assert report.box is None
    assert "neither model detects anything on the 3 pictures" in report.notes[0]


def test_an_answer_of_another_shape_is_refused() -> None:
    with pytest.raises(GateError, match="the checkpoint answers"):
        measure_parity(Fixed(THREE), Fixed(THREE[:2]), PICTURES)


@given(
    noise=st.floats(0, 1),
    seed=st.integers(0, 2**16),
    precision=st.sampled_from(["fp32", "fp16"]),
)
@settings(max_examples=25, deadline=None)
def test_noise_passes_just_when_it_is_within_the_tolerance(
    noise: float, seed: int, precision: str
) -> None:
    """Scaled to its tolerance, a disturbance of one score passes below one and fails above it."""
    allowed = TOLERANCES[precision].score
    index = np.random.default_rng(seed).integers(0, 3)
    for factor, holds in ((0.99 * noise, True), (1.01 + noise, False)):
        other = Fixed(moved(index, 4, factor * allowed))
        report = measure_parity(Fixed(THREE), other, PICTURES[:1], precision)
        assert (report.problems == []) is holds
