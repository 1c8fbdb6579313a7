"""What is read off the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect_tl.runtime import backends, processor
from detect_tl.runtime.backends import exact_integers
from detect_tl.runtime.processor import has_vnni


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("fpu sse2 avx2 fma", False),
        ("fpu avx512f avx512bw avx512_vbmi2", False),
        ("fpu avx512f avx512_vnni", True),
        ("fpu avx2 avx_vnni", True),
        ("fpu avx_vnni_int8", False),
    ],
)
def test_vnni_is_one_of_its_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, has: bool
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nmodel name\t: avx512_vnni\nflags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "_CPUINFO", told)
    assert has_vnni.__wrapped__() is has


def test_elsewhere_numpy_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    known = np._core._multiarray_umath.__cpu_features__["AVX512VNNI"]
    assert has_vnni.__wrapped__() is known
    monkeypatch.delattr(np, "_core")
    assert has_vnni.__wrapped__() is False


@pytest.mark.parametrize(("has", "value"), [(True, "0"), (False, "1")])
def test_vnni_is_not_forbidden_where_it_is(
    monkeypatch: pytest.MonkeyPatch, has: bool, value: str
) -> None:
    monkeypatch.setattr(backends, "has_vnni", lambda: has)
    assert exact_integers() == value
