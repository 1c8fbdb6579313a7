"""The benchmark tool itself: both sides run, and count the same frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.colour_model import colour_model
from tests.runtime.videos import moving_square, write_video


@pytest.mark.slow
def test_both_sides_see_every_frame(repository: Path, detect_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(9))
    tool = repository / "tools" / "bench_runtime.py"
    free = colour_model(tmp_path / "free.onnx", any_batch=True)
    command = [sys.executable, tool, "--model", detect_model, "--dynamic", free, "--video", video]
    done = subprocess.run(
        [*command, "--repeats", "1", "--json"], check=True, capture_output=True, text=True
    )
    (table,) = json.loads(done.stdout).values()
    ratios = table.pop("ratios")
    assert {tuple(side["frames"]) for side in table.values()} == {(9,)}
    assert table["bare loop"]["backend"] == table["ours"]["backend"]
    assert table["ours, onnxruntime"]["backend"] == "onnxruntime"
    assert len(ratios) == 5
    assert all(ratio > 0 for ratio in ratios.values())


@pytest.mark.slow
def test_a_live_source_and_a_slow_model(repository: Path) -> None:
    """The tool runs, and its figures agree with one another; its bound is for a quiet machine."""
    command = [sys.executable, repository / "tools" / "bench_live.py", "--json"]
    done = subprocess.run(
        [*command, "--minutes", "0.05", "--model-ms", "50"],
        check=False,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)
    assert told["given"] == told["used"] + told["dropped"] == 90
    assert 50 <= told["age_p50"] <= told["age_p95"] <= told["age_max"]
    assert told["bound"] == pytest.approx(2000 / 30 + 50, abs=0.1)
    assert done.returncode == (not told["holds"])
    assert min(told["memory"]) > 10
