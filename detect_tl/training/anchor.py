"""Weights that stay near to where they began: L2-SP (Li, Grandvalet and Davoine 2018).

Weight decay pulls every weight towards nothing. A weight that was transferred is worth more than
nothing, so it is pulled towards its value in the source instead. As AdamW does with its decay
(Loshchilov and Hutter 2019), the pull is a step of its own, outside of the gradient's scaling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Anchor:
    """The pull of transferred weights towards `start`, their values in the source, by name.

    strength: share of the distance that a step takes back, against its learning rate.
    """

    def __init__(self, start: Mapping[str, Tensor], strength: float) -> None:
        self.start = dict(start)
        self._strength = strength
        self._anchors: dict[nn.Parameter, Tensor] = {}

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Pull after every step of an optimizer, in the place of its weight decay.

        Norms and biases, which have no decay, have no pull either.
        """
        self._anchors = {
            parameter: self.start[name].to(parameter.device, parameter.dtype)
            for name, parameter in model.named_parameters()
            if name in self.start
        }
        for group in list(optimizer.param_groups):
            held = [p for p in group["params"] if p in self._anchors]
            if not held or not group["weight_decay"]:
                continue
            others = [p for p in group["params"] if p not in self._anchors]
            settings = {k: v for k, v in group.items() if k != "params"}
            group["params"], group["weight_decay"], group["anchored"] = held, 0.0, True
            if others:
                optimizer.add_param_group({**settings, "params": others})
        optimizer.register_step_post_hook(self._pull)

    def _pull(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        with torch.no_grad():
            for group in optimizer.param_groups:
                if group.get("anchored"):
                    share = min(group["lr"] * self._strength, 1.0)
                    for parameter in group["params"]:
                        if parameter.requires_grad:
                            parameter.lerp_(self._anchors[parameter], share)


def transferred(model: nn.Module, names: set[str]) -> dict[str, Tensor]:
    """Copies of the parameters of these names, as they are now."""
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name in names
    }
