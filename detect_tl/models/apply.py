"""Carrying out a transfer plan on tensors."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from detect_tl.core.errors import WeightsError
from detect_tl.transfer.plan import TensorFate, TransferPlan

_CLASS_BRANCHES = ("cv3", "one2one_cv3")


def match_class_branch(target: nn.Module, source: nn.Module) -> None:
    """Give `target`'s class branches the width of `source`'s, with fresh class rows.

    The hidden width depends on the number of classes (80 channels for COCO, 64 for a few classes
    on the smallest models); hidden layers only transfer between equal widths. Branches that read
    features of another width are left alone, for they belong to another scale. To be called
    before shapes are planned.
    """
    head, given = _head(target), _head(source)
    rebuilt = False
    for attribute in _CLASS_BRANCHES:
        here, there = getattr(head, attribute, None), getattr(given, attribute, None)
        if here is not None and there is not None and _differ_in_width_only(here, there):
            setattr(head, attribute, _widened(here, there))
            rebuilt = True
    if rebuilt:
        head.bias_init()


def apply_plan(plan: TransferPlan, source: Mapping[str, Tensor], target: nn.Module) -> None:
    """Copy what `plan` says from `source` into `target`, in place; what is new stays as it is.

    source: a state dict. Values arrive exactly, converted to the type of the target.

    Raises WeightsError, with nothing changed, when the plan was made for other tensors.
    """
    state = target.state_dict()
    _refuse_other_tensors(plan, source, state)
    with torch.no_grad():
        for tensor in plan.tensors:
            if tensor.fate == "copied":
                state[tensor.name].copy_(source[tensor.name])
            elif tensor.fate == "remapped":
                here, there = (list(rows) for rows in zip(*tensor.rows, strict=True))
                values = source[tensor.name][there].to(state[tensor.name])
                state[tensor.name][here] = values


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes of a state dict, as `plan_transfer` wants them."""
    return {name: tuple(value.shape) for name, value in state.items()}


def _refuse_other_tensors(
    plan: TransferPlan, source: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> None:
    planned = {tensor.name: tensor.shape for tensor in plan.tensors}
    if planned != shapes(state):
        raise WeightsError("the transfer plan was made for another model")
    for tensor in plan.tensors:
        if tensor.fate != "new" and not _fits(tensor, source.get(tensor.name)):
            raise WeightsError(f"the transfer plan was made for other weights: {tensor.name}")


def _fits(tensor: TensorFate, value: Tensor | None) -> bool:
    if value is None:
        return False
    if tensor.fate == "copied":
        return tuple(value.shape) == tensor.shape
    return tuple(value.shape[1:]) == tensor.shape[1:] and all(
        there < len(value) for _, there in tensor.rows
    )


def _head(model: nn.Module) -> Any:
    layers: Any = model.model
    return layers[-1]


def _differ_in_width_only(here: Any, there: Any) -> bool:
    return (
        len(here) == len(there)
        and here[0][-1].in_channels != there[0][-1].in_channels
        and all(_input_width(a) == _input_width(b) for a, b in zip(here, there, strict=True))
    )


def _input_width(branch: nn.Module) -> int:
    first = next(module for module in branch.modules() if isinstance(module, nn.Conv2d))
    return int(first.in_channels)


def _widened(here: Any, there: Any) -> nn.ModuleList:
    """Copy the layers of `there`, ending in as many class rows as `here` has."""
    like = here[0][-1].weight
    branches = deepcopy(there)
    for branch, own in zip(branches, here, strict=True):
        branch[-1] = nn.Conv2d(branch[-1].in_channels, own[-1].out_channels, 1)
    branches.requires_grad_(bool(like.requires_grad))
    built: nn.ModuleList = branches.to(like.device, like.dtype).train(here.training)
    return built
