"""A conversion that is killed leaves no half data set, and the next one gives the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detect_tl.core.files import sha256_files, walk_files
from tests.formats.makers import coco, image

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")

IMAGES = 60


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    names = [f"{k:03}.png" for k in range(IMAGES)]
    for name in names:
        image(folder / "images" / name)
    items = [
        {"image_id": 1 + k % IMAGES, "category_id": 1 + k % 2, "bbox": [k % 50, 5, 9, 9]}
        for k in range(4 * IMAGES)
    ]
    coco(folder / "annotations.json", list(enumerate(names, start=1)), items)
    return folder


def converting(source: Path, destination: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "detect_tl", "convert", str(source), str(destination), "-q"]
    return subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE)


def fingerprint(folder: Path) -> str:
    return sha256_files([p for p in walk_files(folder) if p.is_file()], folder)


@pytest.mark.slow
def test_killed_at_any_moment(source: Path, tmp_path: Path) -> None:
    started = time.perf_counter()
    with converting(source, tmp_path / "whole") as process:
        assert process.wait() == 0
    lasted = time.perf_counter() - started
    expected = fingerprint(tmp_path / "whole")
    cut = 0
    for share in (0.5, 0.7, 0.85, 0.95):
        destination = tmp_path / "cut" / "short"
        with converting(source, destination) as process:
            time.sleep(lasted * share)
            process.send_signal(signal.SIGKILL)
        if destination.exists():  # it was done already
            assert fingerprint(destination) == expected
            continue
        cut += 1
        with converting(source, destination) as process:
            assert process.wait() == 0
        assert fingerprint(destination) == expected
        assert os.listdir(destination.parent) == ["short"]  # noqa: PTH208 - hidden ones as well
        destination.rename(tmp_path / f"done-{share}")
    assert cut
