"""What the processor can do, as far as it decides how a model is run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

_CPUINFO = Path("/proc/cpuinfo")
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


@cache
def has_vnni() -> bool:
    """Whether an x86 processor adds products of 8 bits up in 32 bits, in one instruction.

    Without it, engines either add them up in 16 bits, and clip, or take a slower way.
    """
    try:
        lines = _CPUINFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # not Linux; NumPy knows of AVX-512 only, and may stop telling
        core = getattr(np, "_core", None)
        known = getattr(getattr(core, "_multiarray_umath", None), "__cpu_features__", {})
        return bool(known.get("AVX512VNNI", False))
    return any(
        not _VNNI.isdisjoint(line.partition(":")[2].split())
        for line in lines
        if line.startswith("flags")
    )
