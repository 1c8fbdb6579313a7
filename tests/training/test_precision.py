"""bfloat16 on a CPU is tried beside float32 before it is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.precision import Trial, cpu_has_bfloat16, try_bfloat16


@pytest.mark.parametrize(
    ("speed", "difference", "passed"),
    [(2.0, 0.01, True), (0.3, 0.01, False), (2.0, 0.2, False), (2.0, float("nan"), False)],
)
def test_it_is_used_when_it_is_fast_and_near(speed: float, difference: float, passed: bool) -> None:
    trial = Trial(speed, difference)
    assert trial.passed is passed
    assert ("it is used" in str(trial)) is passed


def test_a_trial_leaves_the_model_as_it_was(small_checkpoint: Path) -> None:
    model = load_checkpoint(small_checkpoint).model.float().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trial = try_bfloat16(model)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert trial.speed > 0
    # rounding shows where bfloat16 is used at all
    assert (trial.difference > 0) is cpu_has_bfloat16()
    assert trial.difference < 0.05
