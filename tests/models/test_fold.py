"""A folded model answers as it did, and the model that it was made of stays as it is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn
from ultralytics.nn.modules import conv

from detect_tl.models.fold import folded
from tests.models.test_cut import FAMILIES, model_of, tensors


def model_with_statistics(name: str, task: str) -> Any:
    """A model whose BatchNorm layers do something: as built they only divide by 1."""
    model = model_of(name, task)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_answers_stay_in_every_branch(name: str, task: str) -> None:
    model = model_with_statistics(name, task)
    images = torch.rand(2, 3, 64, 96)
    copy = folded(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
    with torch.no_grad():
        wanted, found = tensors(model(images)), tensors(copy(images))
    assert len(found) == len(wanted)
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_the_original_stays_and_folding_twice_changes_nothing() -> None:
    model = model_with_statistics("yolo11n", "detect").train()
    before = deepcopy(model.state_dict())
    trains = [parameter.requires_grad for parameter in model.parameters()]
    once = folded(model)
    assert model.training
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == trains
    assert any(trains)
    twice = folded(once).state_dict()
    assert all(torch.equal(value, twice[name]) for name, value in once.state_dict().items())


@pytest.mark.parametrize("kind", ["RepConv", "Conv2", "ConvTranspose", "LightConv"])
def test_layers_of_several_branches_answer_as_they_did(kind: str) -> None:
    """The models here have none of them, others of the same families do."""
    torch.manual_seed(0)
    layers = nn.Sequential(getattr(conv, kind)(4, 4)).eval()
    images = torch.rand(1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(folded(layers)(images), layers(images))
