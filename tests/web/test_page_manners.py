"""The manners of the page: clear words, a phone's width, the keyboard, lost connections, tokens."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from detect_tl.web.server import Address
from tests.browser import Tab
from tests.web.conftest import serving, two_cells
from tests.web.scene import DESK, FILLED, PHONE, assert_only_the_server_was_asked, records, show


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
