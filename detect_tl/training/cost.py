"""What a training took."""

from __future__ import annotations

import sys

import psutil
import torch


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    if sys.platform == "win32":
        peak: int = psutil.Process().memory_info().peak_wset
        return peak
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def peak_gpu_memory() -> int | None:
    """The most memory of the GPU that tensors have held so far, in bytes; None without a GPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None
