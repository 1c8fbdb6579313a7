"""On real photos: our mAP is the validator's, and the exported file scores as the checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_scores_agree_with_the_validator_and_across_engines(shared: Path, repository: Path) -> None:
    command = [
        sys.executable,
        str(repository / "tools" / "bench_eval.py"),
        *("--weights", str(shared / "weights" / "yolo11n.pt")),
        *("--data", str(shared / "data" / "coco_coco128_0hye")),
        *("--imgsz", "320", "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["failed"] == []
    assert answer["gaps"]["checkpoint - validator"] < 0.01
    assert answer["gaps"]["fp32 export - checkpoint"] < 0.002
    assert answer["scores"]["checkpoint"]["map50_95"] > 0.3
