"""A scene whose truth is known, and what a person does with the page and sees on it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detect_tl.core.images import Image
from detect_tl.web.server import Address
from tests.browser import Tab
from tests.runtime.conftest import picture
from tests.web.clients import boxes

PHONE, DESK = 375, 1100
CELL = 80
"""Side of a cell of the model in pixels of a frame of 640x480."""

LABEL = "document.getElementById('canvas').getAttribute('aria-label')"
FILLED = f"{LABEL} !== 'Nothing yet'"


def moving(frame: int) -> Image:
    """A green cell that stands still, and a red one that goes one cell further every 5 frames."""
    x = frame // 5 % 8 * CELL
    return picture(640, 480, (x, 160, x + CELL, 240, "red"), (400, 320, 480, 400, "green"))


TRUTHS = [
    {"red": [x, 160, x + CELL, 240], "green": [400, 320, 480, 400]} for x in range(0, 640, CELL)
]


def camera_file(path: Path, frames: int = 40) -> Path:
    """What Chromium plays in place of a camera: raw frames with half the colours (Y4M)."""
    with path.open("wb") as stream:
        stream.write(b"YUV4MPEG2 W640 H480 F20:1 Ip A1:1 C420jpeg\n")
        for number in range(frames):
            stream.write(b"FRAME\n")
            stream.write(cv2.cvtColor(moving(number), cv2.COLOR_BGR2YUV_I420).tobytes())
    return path


def show(tab: Tab, address: Address, width: int = DESK, *, dark: bool = False) -> None:
    tab.open(address.url, width, dark=dark)
    tab.wait("document.getElementById('conf-value').textContent === '60 %'")


def records(tab: Tab) -> list[dict[str, Any]]:
    return [answer for answer in tab.received if "detections" in answer]


def wait_for_different(tab: Tab, count: int) -> None:
    """Wait until so many different answers have come."""
    deadline = time.monotonic() + 60
    while len({json.dumps(boxes(one)) for one in records(tab)}) < count:
        assert time.monotonic() < deadline, "the answers are all alike"
        tab.wait("document.getElementById('notice').hidden")


def near(found: dict[str, list[float]], truth: dict[str, list[int]]) -> bool:
    return found.keys() == truth.keys() and all(
        np.abs(np.subtract(found[name], truth[name])).max() <= 1 for name in truth
    )


def colour_at(tab: Tab, x: int, y: int) -> list[int]:
    brush = "document.getElementById('canvas').getContext('2d')"
    return list(tab.value(f"[...{brush}.getImageData({x}, {y}, 1, 1).data].slice(0, 3)"))


def assert_only_the_server_was_asked(tab: Tab, address: Address) -> None:
    own = address.url.removeprefix("http://")
    foreign = [url for url in tab.requests if not url.startswith((address.url, "blob:"))]
    assert foreign == []
    assert [url for url in tab.sockets if not url.startswith(f"ws://{own}")] == []
    assert tab.complaints == []


def moved(slider: str, value: int) -> str:
    """What moves a slider of the page."""
    return (
        f"{{const s = document.getElementById('{slider}'); s.value = {value};"
        " s.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
