"""Mixed precision on a CPU, which Ultralytics does not offer."""

from __future__ import annotations

import math
import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from detect_tl.models.cut import cut_before, run_front

# Answers of the layers before the head may differ by so much of their size. bfloat16 keeps eight
# bits; over the layers of a YOLO these add up to about one in a hundred.
_MOST_DIFFERENCE = 0.05
# Other work on the machine can hide a gain; a processor that emulates bfloat16 is far below this.
_LEAST_SPEED = 0.5
_TRIALS = 3
_SIDE = 320


def use_all_cores(threads: int | None = None) -> None:
    """Let torch use every core it may run on, or `threads`; Ultralytics leaves one idle."""
    torch.set_num_threads(threads or available_cores())


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


@dataclass(frozen=True, slots=True)
class Trial:
    """bfloat16 beside float32 on this processor.

    speed: how many times as fast. difference: of the answers, against their size (2-norms).
    """

    speed: float
    difference: float

    @property
    def passed(self) -> bool:
        return self.speed > _LEAST_SPEED and self.difference < _MOST_DIFFERENCE

    def __str__(self) -> str:
        verdict = "it is used" if self.passed else "float32 is used"
        return (
            f"bfloat16: {self.speed:.1f} times the speed of float32 here, answers within"
            f" {self.difference:.1%}: {verdict}"
        )


def try_bfloat16(model: Any) -> Trial:
    """Let the layers before the head answer to noise in both precisions.

    model: a YOLO in float32 on the CPU; its statistics stay as they are. The pictures always have
    the same size, so that two runs on a machine decide alike; of small ones, time tells nothing.
    """
    cut = cut_before(model, len(model.model) - 1)
    image = torch.rand((2, 3, _SIDE, _SIDE), generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=torch.channels_last)
    seconds: dict[bool, float] = {False: math.inf, True: math.inf}
    answers: dict[bool, torch.Tensor] = {}
    was_training = model.training
    model.eval()
    try:
        for mixed in (False, True) * _TRIALS:  # in turns, as other work on the machine slows both
            began = time.perf_counter()
            with torch.inference_mode(), autocast(image.device, mixed=mixed):
                maps = run_front(model.model, cut, image)
            seconds[mixed] = min(seconds[mixed], time.perf_counter() - began)
            answers[mixed] = torch.cat([found.float().flatten() for found in maps.values()])
    finally:
        model.train(was_training)
    difference = (answers[True] - answers[False]).norm() / answers[False].norm()
    return Trial(seconds[False] / seconds[True], float(difference))
