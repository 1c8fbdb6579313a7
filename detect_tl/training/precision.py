"""Mixed precision on a CPU, which Ultralytics does not offer."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


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


def autocast(device: torch.device, *, mixed: bool) -> AbstractContextManager[Any]:
    """bfloat16 on a processor that has it; on a GPU the training loop sees to it."""
    found: AbstractContextManager[Any] = nullcontext()
    if mixed and device.type == "cpu" and cpu_has_bfloat16():
        found = torch.autocast("cpu", torch.bfloat16)
    return found
