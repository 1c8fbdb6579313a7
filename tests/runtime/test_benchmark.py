"""Engines are timed each in a process of its own, and held to the first one's answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.runtime.benchmark import benchmark
from tests.runtime.conftest import picture

IMAGE = picture(64, 64, (0, 0, 24, 24, "red"), (40, 40, 64, 64, "blue"))

ENGINES = """
import os
import numpy as np
from detect_tl.runtime.backends import OnnxRuntimeBackend

class Blind(OnnxRuntimeBackend):
    def infer(self, batch):
        return [np.zeros((len(batch), 7, 64), np.float32)]

class Crashing(OnnxRuntimeBackend):
    def infer(self, batch):
        os._exit(9)
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more engines, installed as a package of someone else would be."""
    (tmp_path / "other_engines.py").write_text(ENGINES)
    info = tmp_path / "other_engines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-engines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[detect_tl.backends]\nblind = other_engines:Blind\ncrashing = other_engines:Crashing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_every_engine_in_both_settings(detect_model: Path) -> None:
    speeds = benchmark(detect_model, IMAGE, backends=["onnxruntime", "openvino"], seconds=0.1)
    cores = os.cpu_count() or 1
    settings = [(s.setting.backend, s.setting.at_once, s.setting.threads) for s in speeds]
    each = [(1, 1)] if cores == 1 else [(1, cores), (min(cores, 8), max(cores // 8, 1))]
    assert settings == [(n, *one) for n in ("onnxruntime", "openvino") for one in each]
    for speed in speeds:
        assert not speed.against
        assert speed.load_seconds
        assert speed.memory_mb is not None
        assert speed.p50_ms and speed.p95_ms and speed.fps  # noqa: PT018 - each is a figure
        assert speed.p50_ms <= speed.p95_ms
        # at least one picture at a time, and never more than `at_once` of them
        assert speed.fps <= 1.5 * speed.setting.at_once * 1000 / speed.p50_ms
        row = speed.as_json()
        assert (row["backend"], row["fps"]) == (speed.setting.backend, speed.fps)


@pytest.mark.usefixtures("others")
def test_an_engine_that_answers_otherwise_is_told_of(detect_model: Path) -> None:
    speeds = benchmark(detect_model, IMAGE, backends=["onnxruntime", "blind"], seconds=0.1)
    told = {speed.setting.backend: speed.against for speed in speeds}
    assert not told["onnxruntime"]
    assert "have no like" in told["blind"]


@pytest.mark.usefixtures("others")
def test_an_engine_that_crashes_takes_nobody_with_it(detect_model: Path) -> None:
    with pytest.raises(MachineError, match="measuring crashing broke off with exit code 9"):
        benchmark(detect_model, IMAGE, backends=["crashing"], seconds=0.1)


def test_what_cannot_run_has_no_figures(detect_model: Path) -> None:
    (speed, *_) = benchmark(detect_model, IMAGE, backends=["openvino"], device="cuda", seconds=0.1)
    assert "runs on the CPU" in speed.against
    assert speed.fps is None
    with pytest.raises(UsageError, match="no engine runs"):
        benchmark(Path(sys.executable).with_suffix(".pt"), IMAGE)
