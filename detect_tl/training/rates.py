"""Learning rates as a function of the stage, the step and the depth of a layer."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import torch
from torch import nn

from detect_tl.transfer.stages import PlannedStage

# Steps in which a stage reaches its rate: at most so many, and at most a tenth of it.
_WARM_UP = 100
_LAYER = re.compile(r"model\.(\d+)\.")
_PARTS = 4  # depths that are told apart, from the head to the first layers
_NORMS = tuple(
    value for key, value in vars(nn).items() if "Norm" in key and isinstance(value, type)
)


def make_optimizer(
    model: Any,
    name: str,
    *,
    classes: int,
    lr: float,
    momentum: float,
    decay: float,
    iterations: float = 0,
) -> torch.optim.Optimizer:
    """An optimizer whose groups know how deep their layers lie ("depth", 0 for the head to 1).

    name: "auto" is AdamW at the rate that Ultralytics chooses by the number of classes. The first
    group is of the head.
    """
    del iterations
    if name == "auto":
        name, lr, momentum = "AdamW", round(0.002 * 5 / (4 + classes), 6), 0.9
    last = len(model.model) - 1
    groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for module_name, module in model.named_modules():
        for parameter_name, parameter in module.named_parameters(recurse=False):
            found = _LAYER.match(f"{module_name}.")
            layer = int(found[1]) if found else last
            depth = round((1 - layer / last) * (_PARTS - 1)) / (_PARTS - 1)
            plain = "bias" in parameter_name or isinstance(module, _NORMS)
            groups[depth, plain].append(parameter)
    settings = [
        {
            "params": parameters,
            "weight_decay": 0.0 if plain else decay,
            "depth": depth,
            "base_lr": lr,
        }
        for (depth, plain), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    if name == "SGD":
        return torch.optim.SGD(settings, lr=lr, momentum=momentum, nesterov=True)
    kind = {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam}[name]
    return kind(settings, lr=lr, betas=(momentum, 0.999))


def set_rates(
    optimizer: torch.optim.Optimizer, planned: PlannedStage, epoch: int, step: int, steps: int
) -> None:
    """Set the rate of every group for a step of an epoch of `steps` steps, both from 0."""
    taken = (epoch - planned.start) * steps + step
    total = planned.epochs * steps
    warm_up = max(1.0, min(_WARM_UP, total / 10))
    warm = min(1.0, (taken + 1) / warm_up)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * planned.rate(taken / total, group["depth"]) * warm
