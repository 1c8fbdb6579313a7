"""The page in a real browser: a dropped picture, a video, and a camera whose truth is known."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detect_tl.core.images import Image
from detect_tl.runtime.draw import class_colour
from detect_tl.web.server import Address
from tests.browser import Tab, browser
from tests.runtime.videos import write_video
from tests.web.conftest import TWO_BOXES, boxes, picture, serving, two_cells

PHONE, DESK = 375, 1100
CELL = 80
"""Side of a cell of the model in pixels of a frame of 640x480."""

FILLED = "document.getElementById('canvas').getAttribute('aria-label') !== 'Nothing yet'"


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


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("browser")
    with browser(
        folder / "profile",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file(folder / 'camera.y4m')}",
    ) as opened:
        opened.call("DOM.enable")
        yield opened


@pytest.fixture(scope="module")
def page(segment_model: Path) -> Iterator[Address]:
    with serving(segment_model) as address:
        yield address


def show(tab: Tab, address: Address, width: int = DESK, *, dark: bool = False) -> None:
    tab.open(address.url, width, dark=dark)
    tab.wait("document.getElementById('conf-value').textContent === '60 %'")


def records(tab: Tab) -> list[dict[str, Any]]:
    return [answer for answer in tab.received if "detections" in answer]


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


def test_a_picture_is_shown_with_its_boxes(tab: Tab, page: Address, tmp_path: Path) -> None:
    file = tmp_path / "two.png"
    cv2.imwrite(str(file), two_cells())
    show(tab, page)
    tab.choose("#file", file)
    tab.wait(FILLED)
    label = "document.getElementById('canvas').getAttribute('aria-label')"
    assert tab.value(label) == "1 red, 1 green"
    assert boxes(records(tab)[-1]) == TWO_BOXES
    assert_only_the_server_was_asked(tab, page)
    # A box has the colour of its class; the mask lies over the red cell, and over nothing else.
    edge = np.array(class_colour(0)[::-1])
    assert colour_at(tab, 120, 240) == edge.tolist()
    mixed = edge * 115 / 255 + np.array([255, 0, 0]) * 140 / 255
    assert np.abs(colour_at(tab, 120, 200) - mixed).max() <= 2
    assert colour_at(tab, 60, 200) == [0, 0, 0]
    tab.value("document.getElementById('masks').click()")
    tab.wait(
        "!document.getElementById('canvas').getContext('2d')"
        ".getImageData(120, 200, 1, 1).data.slice(1, 3).some(Boolean)"
    )


def test_settings_are_obeyed_and_the_picture_looked_at_again(
    tab: Tab, page: Address, tmp_path: Path
) -> None:
    file = tmp_path / "two.png"
    image = two_cells()
    image[image[..., 2] == 255] = (0, 0, 200)  # the red cell is less sure now: 0.78
    cv2.imwrite(str(file), image)
    show(tab, page)
    tab.choose("#file", file)
    label = "document.getElementById('canvas').getAttribute('aria-label')"
    tab.wait(f"{label} === '1 red, 1 green'")
    tab.value(_moved("conf", 85))
    tab.wait(f"{label} === '1 green'")
    assert tab.value("document.getElementById('conf-value').textContent") == "85 %"
    tab.value(_moved("conf", 70))
    tab.wait(f"{label} === '1 red, 1 green'")
    boxes_of = "document.querySelectorAll('#list input')"
    tab.value(f"{boxes_of}[1].click()")
    tab.wait(f"{label} === '1 red'")
    assert tab.value("document.getElementById('chosen').textContent") == "2 of 3 classes"
    tab.value("document.querySelector('[data-do=none]').click()")
    tab.wait(f"{label} === 'Nothing found'")
    tab.value(
        "{const s = document.getElementById('search'); s.value = 'GRE';"
        " s.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    assert tab.value(f"[...{boxes_of}].map((box) => box.closest('li').hidden)") == [
        True, False, True,
    ]  # fmt: skip
    tab.value("document.querySelector('[data-do=all]').click()")  # of what is found
    tab.wait(f"{label} === '1 green'")
    assert_only_the_server_was_asked(tab, page)


def _moved(slider: str, value: int) -> str:
    return (
        f"{{const s = document.getElementById('{slider}'); s.value = {value};"
        " s.dispatchEvent(new Event('input', {bubbles: true}))}"
    )


def test_a_dropped_file_is_taken(tab: Tab, page: Address) -> None:
    show(tab, page)
    data = base64.b64encode(cv2.imencode(".png", two_cells())[1].tobytes()).decode()
    tab.value(
        f"{{ const bytes = Uint8Array.from(atob('{data}'), (c) => c.charCodeAt(0));"
        " const transfer = new DataTransfer();"
        " transfer.items.add(new File([bytes], 'two.png', {type: 'image/png'}));"
        " document.getElementById('stage').dispatchEvent("
        "  new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: transfer})); }"
    )
    tab.wait(FILLED)
    assert boxes(records(tab)[-1]) == TWO_BOXES


def test_the_camera_is_detected_on_live(tab: Tab, page: Address) -> None:
    """Boxes are those of the frames that the camera gave, newest first and never two at once."""
    show(tab, page)
    tab.value("document.querySelector('[data-do=camera]').click()")
    tab.wait(FILLED)
    while len({json.dumps(boxes(one)) for one in records(tab)}) < 4:
        tab.wait("document.getElementById('notice').hidden")
    seen = records(tab)
    for one in seen:
        assert (one["width"], one["height"]) == (64, 48)  # as small as the model sees it
        enlarged = {name: [10 * v for v in box] for name, box in boxes(one).items()}
        assert any(near(enlarged, truth) for truth in TRUTHS), enlarged
    assert [one["frame"] for one in seen] == list(range(len(seen)))  # none was dropped
    sent = [e for e in tab.events if e["method"] == "Network.webSocketFrameSent"]
    pictures = [e for e in sent if e["params"]["response"]["opcode"] == 2]
    assert len(pictures) - len(seen) in (0, 1)
    assert float(tab.value("document.getElementById('rate').textContent")) > 0
    assert tab.value("document.getElementById('age').textContent").endswith(" ms")
    assert_only_the_server_was_asked(tab, page)
    tab.value("document.querySelector('[data-do=stop]').click()")
    tab.wait("document.getElementById('video').srcObject === null")


def test_a_picture_is_drawn_with_the_boxes_of_the_same_moment(tab: Tab, page: Address) -> None:
    """Where the box of the red cell is drawn, the picture below it is red."""
    show(tab, page)
    tab.value("document.getElementById('masks').click()")
    tab.value("document.querySelector('[data-do=camera]').click()")
    tab.wait(FILLED)
    edge = class_colour(0)[::-1]
    found = set()
    for _ in range(400):
        # the upper edges of all cells of the row, and what is in their middle, in one moment
        row = tab.value(
            "(() => { const b = document.getElementById('canvas').getContext('2d');"
            " return [0,1,2,3,4,5,6,7].map((k) => [...b.getImageData(80 * k + 60, 160, 1, 1).data,"
            " ...b.getImageData(80 * k + 60, 200, 1, 1).data]); })()"
        )
        boxed = [k for k, v in enumerate(row) if np.abs(np.subtract(v[:3], edge)).max() < 60]
        red = [k for k, v in enumerate(row) if v[4] > 180 and v[5] < 80 and v[6] < 80]
        assert boxed == red
        found |= set(red)
        if len(found) > 2:
            return
    pytest.fail(f"the camera does not move: {found}")


def test_a_video_is_played_and_looked_at(tab: Tab, page: Address, tmp_path: Path) -> None:
    frames = [moving(k) for k in range(40)]
    file = write_video(tmp_path / "v.webm", frames, fps=Fraction(10), codec="libvpx")
    show(tab, page)
    tab.choose("#file", file)
    tab.wait(FILLED)
    while len({json.dumps(boxes(one)) for one in records(tab)}) < 3:
        tab.wait("document.getElementById('notice').hidden")
    for one in records(tab):
        enlarged = {name: [10 * v for v in box] for name, box in boxes(one).items()}
        assert any(near(enlarged, truth) for truth in TRUTHS), enlarged
    tab.value("document.getElementById('play').click()")
    tab.wait("document.getElementById('play').textContent === 'Play'")
    tab.wait("document.getElementById('video').paused")
    tab.value(_moved("conf", 99))  # what stands still is looked at again
    tab.wait("document.getElementById('found').textContent === 'Nothing found.'")
    assert_only_the_server_was_asked(tab, page)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken.mp4", "This video cannot be played by this browser"),
        ("broken.png", "This picture cannot be shown by this browser"),
        ("notes.txt", "neither a picture nor a video"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(
    tab: Tab, page: Address, tmp_path: Path, name: str, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(b"nothing of the kind")
    show(tab, page)
    tab.choose("#file", file)
    tab.wait("!document.getElementById('notice').hidden")
    assert words in tab.value("document.getElementById('notice').textContent")
    assert_only_the_server_was_asked(tab, page)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "The camera may not be used. Allow it"),
        ("NotFoundError", "No camera was found."),
        ("NotReadableError", "another program"),
    ],
)
def test_without_a_camera_it_says_why(tab: Tab, page: Address, error: str, words: str) -> None:
    show(tab, page)
    tab.value(
        "navigator.mediaDevices.getUserMedia ="
        f" () => Promise.reject(new DOMException('', '{error}')); 0"
    )
    tab.value("document.querySelector('[data-do=camera]').click()")
    tab.wait("!document.getElementById('notice').hidden")
    assert words in tab.value("document.getElementById('notice').textContent")


def test_a_lost_connection_is_told_and_made_again(
    tab: Tab, detect_model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "two.png"
    cv2.imwrite(str(file), two_cells())
    with serving(detect_model) as address:
        show(tab, address)
        tab.value("document.querySelector('[data-do=camera]').click()")
        tab.wait(FILLED)
    tab.wait("document.getElementById('notice').textContent.startsWith('Connection lost.')")
    before = len(records(tab))
    with serving(detect_model, port=address.port):
        tab.wait("document.getElementById('notice').hidden")
        assert len(records(tab)) > before


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_fits_its_window(
    tab: Tab, page: Address, tmp_path: Path, width: int, dark: bool
) -> None:
    file = tmp_path / "two.png"
    cv2.imwrite(str(file), two_cells((1600, 480)))
    show(tab, page, width, dark=dark)
    assert tab.value("document.documentElement.scrollWidth") <= width
    tab.choose("#file", file)
    tab.wait(FILLED)
    tab.value("document.getElementById('classes').open = true")
    assert tab.value("document.documentElement.scrollWidth") <= width
    shown = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (shown == "rgb(17, 20, 24)") == dark
    buttons = "[...document.querySelectorAll('button')].filter((b) => b.offsetParent)"
    assert tab.value(f"{buttons}.every((b) => b.getBoundingClientRect().height >= 44)")


def test_it_is_used_with_the_keyboard(tab: Tab, page: Address) -> None:
    show(tab, page)
    order = []
    for _ in range(8):
        for kind in ("keyDown", "keyUp"):
            tab.call(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        order.append(tab.value("document.activeElement.id || document.activeElement.textContent"))
    wanted = ["Choose a file", "Use the camera", "conf"]
    assert order[:3] == wanted


def test_the_token_lets_in_and_leaves_the_address(tab: Tab, detect_model: Path) -> None:
    with serving(detect_model, token="a-secret-token") as address:  # noqa: S106
        assert "token=a-secret-token" in address.url
        show(tab, address)
        assert tab.value("location.search") == ""
        tab.value("document.querySelector('[data-do=camera]').click()")
        tab.wait(FILLED)  # so the socket was let in as well
        assert tab.value("document.cookie") == ""  # no script can read it
        assert tab.complaints == []
