"""The benchmark tool itself: both sides run, and count the same frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.videos import moving_square, write_video


@pytest.mark.slow
def test_both_sides_see_every_frame(repository: Path, detect_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(9))
    tool = repository / "tools" / "bench_runtime.py"
    command = [sys.executable, tool, "--model", detect_model, "--video", video]
    done = subprocess.run(
        [*command, "--repeats", "1", "--json"], check=True, capture_output=True, text=True
    )
    table = json.loads(done.stdout)
    sides = [value for value in table.values() if isinstance(value, dict)]
    assert [side["frames"] for side in sides] == [[9]] * 4
    assert table["ratio"] > 0
    assert table["ratio, saving video"] > 0


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
