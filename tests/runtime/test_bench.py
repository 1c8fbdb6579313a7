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
