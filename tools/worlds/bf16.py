"""CPU bfloat16 for Ultralytics' trainers, which themselves refuse it on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from ultralytics.engine import trainer as engine
from ultralytics.nn.tasks import DetectionModel


@contextmanager
def bfloat16_training() -> Iterator[None]:
    """Inside the block every trainer's forward pass is bfloat16; the loss stays in float32."""
    autocast, init_criterion = engine.autocast, DetectionModel.init_criterion

    def cpu_autocast(_enabled: object, device: str = "cpu") -> torch.autocast:
        return torch.autocast(device, torch.bfloat16)

    def float_criterion(model: DetectionModel) -> Any:
        return _Float32Loss(init_criterion(model))

    engine.autocast, DetectionModel.init_criterion = cpu_autocast, float_criterion
    try:
        yield
    finally:
        engine.autocast, DetectionModel.init_criterion = autocast, init_criterion


class _Float32Loss:
    """A criterion that casts what the network gave back to float32 before it computes."""

    def __init__(self, criterion: Any) -> None:
        self._criterion = criterion

    def __call__(self, predictions: Any, batch: dict[str, Any]) -> Any:
        with torch.autocast("cpu", enabled=False):
            return self._criterion(_float32(predictions), batch)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_criterion":
            raise AttributeError(name)
        return getattr(self._criterion, name)


def _float32(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _float32(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_float32(item) for item in value)
    return value


def to_channels_last(model: nn.Module) -> nn.Module:
    """The memory layout that convolutions like best on a CPU."""
    converted: nn.Module = model.to(memory_format=torch.channels_last)
    return converted
