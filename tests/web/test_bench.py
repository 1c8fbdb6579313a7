"""The tool that measures the service under load: both kinds of clients are served and counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.web.conftest import two_cells


@pytest.mark.slow
def test_it_runs_and_says_what_happened(
    repository: Path, segment_model: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "two.jpg"), two_cells())
    tool = repository / "tools" / "bench_serve.py"
    command = [sys.executable, tool, "--model", segment_model, "--images", tmp_path]
    command += ["--clients", "4", "--seconds", "2", "--json"]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=120
    )
    told = json.loads(done.stdout)
    assert told["error_count"] == 0, told
    assert told["fewest_and_most_of_a_client"][0] > 0
    assert set(told["ms"]) == {"live", "post"}
    assert done.returncode == (0 if told["passed"] else 1)
