"""L2-SP: weights that were transferred stay near to where they began."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from detect_tl.training.anchor import Anchor, transferred
from detect_tl.training.run import train
from tests.training.test_run import config, tensors


def model_and_anchor(strength: float, rate: float) -> tuple[nn.Linear, torch.optim.Optimizer]:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, weight_decay=0.5)
    anchor = Anchor(transferred(model, {"weight", "bias", "absent"}), strength)
    anchor.attach(model, optimizer)
    return model, optimizer


@given(
    strength=st.floats(0, 50), rate=st.floats(1e-4, 0.1), moved=st.floats(-5, 5), steps=st.just(3)
)
def test_a_weight_without_gradient_goes_back_by_the_same_share_each_step(
    strength: float, rate: float, moved: float, steps: int
) -> None:
    model, optimizer = model_and_anchor(strength, rate)
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += moved
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for _ in range(steps):
        optimizer.step()
    left = moved * (1 - min(1, strength * rate)) ** steps
    assert torch.allclose(model.weight, start + left, atol=1e-4)


def test_only_what_has_an_anchor_loses_its_weight_decay() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = torch.optim.AdamW(
        [
            {"params": [model[0].weight, model[1].weight], "weight_decay": 0.5},
            {"params": [model[0].bias, model[1].bias], "weight_decay": 0.0},
        ]
    )
    Anchor(transferred(model, {"0.weight", "0.bias"}), 0.1).attach(model, optimizer)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {
        id(model[0].weight): 0.0,
        id(model[1].weight): 0.5,
        id(model[0].bias): 0.0,
        id(model[1].bias): 0.0,
    }


def test_a_frozen_weight_is_left_alone() -> None:
    model, optimizer = model_and_anchor(10.0, 0.1)
    with torch.no_grad():
        model.weight += 1
    moved = model.weight.detach().clone()
    model.weight.requires_grad_(False)
    model.bias.grad = torch.zeros_like(model.bias)
    optimizer.step()
    assert torch.equal(model.weight, moved)


@pytest.mark.slow
def test_a_run_stays_nearer_to_the_source(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    before = tensors(small_checkpoint)

    def distance(name: str, **more: object) -> float:
        run = train(config(shapes, small_checkpoint, tmp_path / name, strategy="full", **more)).run
        after = tensors(run.last)
        kept = [
            n for n in before if n.endswith("conv.weight") and before[n].shape == after[n].shape
        ]
        return sum(float((after[n].float() - before[n].float()).norm()) for n in kept)

    assert distance("near", l2_sp=200.0) < 0.7 * distance("free")
