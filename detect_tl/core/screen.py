"""Windows, where there is a screen to open them on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from detect_tl.core.errors import MachineError

STOP_KEYS = frozenset({ord("q"), ord("Q"), 27})
"""q and Escape end whatever is shown."""

_LARGEST = 1280, 720
"""Pixels of a window when it opens."""


def has_display() -> bool:
    """Under Linux, Qt ends the whole process when there is no display, so ask beforehand."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def require_display(instead: str) -> None:
    """Raise MachineError where there is no display; instead: what to do without one."""
    if not has_display():
        raise MachineError("there is no display to show a window on", hint=instead)


def fit_window(title: str, width: int, height: int) -> None:
    """Let a window be as large as a picture, on any screen. width, height: of that, in pixels."""
    import cv2

    scale = min(_LARGEST[0] / width, _LARGEST[1] / height, 1.0)
    cv2.resizeWindow(title, max(round(width * scale), 1), max(round(height * scale), 1))


@contextmanager
def opened_window(title: str, instead: str) -> Iterator[None]:
    """A window that can be resized, closed at the end.

    instead: what to do without one, in an error. Raises MachineError where there is no display, or
    OpenCV was built without windows.
    """
    import cv2

    require_display(instead)
    # the wheel's Qt comes without fonts, which nothing here asks it for, and complains of that
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    try:
        # Without a toolbar. With one a window that is filled at once sometimes never appeared.
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(title, flags)
    except cv2.error as error:
        raise MachineError(
            "this OpenCV was built without windows",
            hint=f"{instead} Or reinstall opencv-python in place of its headless build.",
        ) from error
    try:
        yield
    finally:
        cv2.destroyAllWindows()
