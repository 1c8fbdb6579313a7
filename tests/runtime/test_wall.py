"""Several sources in one window: what it shows, and a real one on a real (virtual) screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import ImageGrab

from detect_tl.core.detections import Detections
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.stopping import Stop
from detect_tl.runtime.wall import SIZE, Wall
from tests.runtime.servers import JpegCamera

NOTHING = Detections.empty()
LABEL = 24  # pixels on top of a part where its title is


def frame(width: int, height: int, grey: int) -> Frame:
    return Frame(np.full((height, width, 3), grey, np.uint8), 0, 0.0, "x")


@given(
    shapes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=10)
)
def test_every_source_has_a_part_of_its_own(shapes: list[tuple[int, int]]) -> None:
    """Whole, in its proportions, and as large as its part allows."""
    wall = Wall([""] * len(shapes))
    for number, (width, height) in enumerate(shapes):
        assert wall.part(number)(frame(width, height, 255), NOTHING)  # is written over
        assert wall.part(number)(frame(width, height, 20 + number), NOTHING)
    picture = wall.picture()
    assert picture.shape[0] <= SIZE.height
    assert picture.shape[1] <= SIZE.width
    columns = int(np.ceil(np.sqrt(len(shapes))))
    rows = int(np.ceil(len(shapes) / columns))
    part = picture.shape[1] // columns, picture.shape[0] // rows
    for number, (width, height) in enumerate(shapes):
        y, x = np.nonzero((picture == 20 + number).all(axis=2))
        assert x.min() // part[0] == x.max() // part[0] == number % columns
        assert y.min() // part[1] == y.max() // part[1] == number // columns
        seen = x.max() - x.min() + 1, y.max() - y.min() + 1
        scale = min(part[0] / width, part[1] / height)
        assert abs(seen[0] - width * scale) <= 1
        assert abs(seen[1] - height * scale) <= LABEL + 1


@pytest.mark.parametrize("end", [{"key": ord("q")}, {"key": 27}, {"visible": 0.0}])
def test_the_user_ends_all(monkeypatch: pytest.MonkeyPatch, end: dict[str, float]) -> None:
    state = {"key": 255, "visible": 1.0}
    shown: list[np.ndarray] = []
    monkeypatch.setenv("DISPLAY", ":99")
    for name in ("namedWindow", "resizeWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: state["visible"])

    def key(_: int) -> int:
        if len(shown) == 3:
            state.update(end)
        return int(state["key"])

    monkeypatch.setattr(cv2, "waitKey", key)
    stop = Stop()
    Wall(["a"]).watch("all", stop, lambda: False)
    assert stop.wanted
    assert len(shown) == 3


@pytest.fixture
def screen() -> Iterator[str]:
    """The name of a virtual screen that nobody else looks at."""
    if shutil.which("Xvfb") is None:
        pytest.skip("there is no Xvfb to open windows on")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-noreset"]
    command += ["-screen", "0", "1400x900x24"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as stream:
        yield f":{stream.readline().strip()}"
    server.terminate()
    server.wait(10)


@pytest.mark.slow
def test_two_cameras_in_a_real_window(detect_model: Path, tmp_path: Path, screen: str) -> None:
    with JpegCamera(fps=20) as first, JpegCamera(fps=20) as second:
        (tmp_path / "streams.txt").write_text(f"{first.url}\n{second.url}\n")
        command = [sys.executable, "-m", "detect_tl", "predict", str(detect_model), "streams.txt"]
        run = subprocess.Popen(
            [*command, "--show"],
            cwd=tmp_path,
            env={**os.environ, "DISPLAY": screen},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert wait_for_both(screen, run), "both cameras should be on the screen"
        finally:
            run.send_signal(signal.SIGINT)
            said, complained = run.communicate(timeout=60)
    assert run.returncode == 0, complained
    assert "QFontDatabase" not in complained
    assert said.count("frames/s") == 3  # of each, and of both


def wait_for_both(screen: str, run: subprocess.Popen[str], seconds: float = 60) -> bool:
    """Whether both halves of the window change."""
    began, seen = time.monotonic(), (set(), set())
    while time.monotonic() - began < seconds and run.poll() is None:
        picture = np.asarray(ImageGrab.grab(xdisplay=screen))[100:700, :1280]
        for half, levels in zip((picture[:, :640], picture[:, 640:]), seen, strict=True):
            levels.add(int(np.median(half[250:350])))
        if all(len(levels) > 3 for levels in seen):
            return True
        time.sleep(0.05)
    return False
