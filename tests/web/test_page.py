"""The page in a real browser: a dropped picture, a video, and a camera whose truth is known."""

from __future__ import annotations

import base64
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from detect_tl.runtime.draw import class_colour
from detect_tl.web.server import Address
from tests.browser import Tab
from tests.runtime.videos import write_video
from tests.web.clients import boxes
from tests.web.conftest import TWO_BOXES, two_cells
from tests.web.scene import (
    FILLED,
    LABEL,
    TRUTHS,
    assert_only_the_server_was_asked,
    colour_at,
    moved,
    moving,
    near,
    records,
    show,
    wait_for_different,
)


def test_a_picture_is_shown_with_its_boxes(tab: Tab, page: Address, tmp_path: Path) -> None:
    file = tmp_path / "two.png"
    cv2.imwrite(str(file), two_cells())
    show(tab, page)
    tab.choose("#file", file)
    tab.wait(FILLED)
    assert tab.value(LABEL) == "1 red, 1 green"
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
    tab.wait(f"{LABEL} === '1 red, 1 green'")
    tab.value(moved("conf", 85))
    tab.wait(f"{LABEL} === '1 green'")
    assert tab.value("document.getElementById('conf-value').textContent") == "85 %"
    tab.value(moved("conf", 70))
    tab.wait(f"{LABEL} === '1 red, 1 green'")
    boxes_of = "document.querySelectorAll('#list input')"
    tab.value(f"{boxes_of}[1].click()")
    tab.wait(f"{LABEL} === '1 red'")
    assert tab.value("document.getElementById('chosen').textContent") == "2 of 3 classes"
    tab.value("document.querySelector('[data-do=none]').click()")
    tab.wait(f"{LABEL} === 'Nothing found'")
    tab.value(
        "{const s = document.getElementById('search'); s.value = 'GRE';"
        " s.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    assert tab.value(f"[...{boxes_of}].map((box) => box.closest('li').hidden)") == [
        True, False, True,
    ]  # fmt: skip
    tab.value("document.querySelector('[data-do=all]').click()")  # of what is found
    tab.wait(f"{LABEL} === '1 green'")
    assert_only_the_server_was_asked(tab, page)


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
    wait_for_different(tab, 4)
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
    found: set[int] = set()
    deadline = time.monotonic() + 60
    while len(found) < 3:
        assert time.monotonic() < deadline, "the camera does not move"
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


def test_a_video_is_played_and_looked_at(tab: Tab, page: Address, tmp_path: Path) -> None:
    frames = [moving(k) for k in range(20)]
    file = write_video(tmp_path / "v.webm", frames, fps=Fraction(10), codec="libvpx")
    show(tab, page)
    tab.choose("#file", file)
    tab.wait(FILLED)
    wait_for_different(tab, 3)
    for one in records(tab):
        enlarged = {name: [10 * v for v in box] for name, box in boxes(one).items()}
        assert any(near(enlarged, truth) for truth in TRUTHS), enlarged
    tab.value("document.getElementById('play').click()")
    tab.wait("document.getElementById('play').textContent === 'Play'")
    tab.wait("document.getElementById('video').paused")
    tab.value(moved("conf", 99))  # what stands still is looked at again
    tab.wait("document.getElementById('found').textContent === 'Nothing found.'")
    assert_only_the_server_was_asked(tab, page)
