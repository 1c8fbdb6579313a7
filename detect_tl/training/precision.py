"""Mixed precision on a CPU, which Ultralytics does not offer."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def use_all_cores() -> None:
    """Let torch use every core it may run on; Ultralytics leaves one idle."""
    torch.set_num_threads(available_cores())


def available_cores() -> int:
    """Number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16; emulated, it would be slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return native and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def forward_in_bfloat16(model: nn.Module) -> None:
    """Run the layers of `model` in bfloat16 on a CPU, and its loss in float32.

    Weights stay float32. The wrapper lives in the instance, so a copy made before (the EMA) is not
    touched, and neither is the class.
    """
    model.to(memory_format=torch.channels_last)
    plain: Callable[..., Any] = model.forward

    def forward(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return plain(x, *args, **kwargs)  # a batch: the loss, which calls back with its images
        with torch.autocast("cpu", torch.bfloat16):
            answer = plain(x.to(memory_format=torch.channels_last), *args, **kwargs)
        return _to_float32(answer)

    model.forward = forward


def _to_float32(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype is torch.bfloat16 else value
    if isinstance(value, dict):
        return {key: _to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_float32(item) for item in value)
    return value
