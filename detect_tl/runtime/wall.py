"""One window for several sources: what each of them shows last, side by side."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.core.lettering import put_label
from detect_tl.core.screen import STOP_KEYS, fit_window, opened_window
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import INSTEAD_OF_WINDOW, Write
from detect_tl.runtime.stopping import Stop

SIZE = Size(1280, 720)
"""Pixels of all pictures together."""

_LETTERS = 14
_COLOUR = (255, 255, 255)
_LOOK_MS = 20


class Wall:
    """Written to by the threads of all sources, and looked at by the main one, which has windows.

    titles: one for each source, written on its picture.
    """

    def __init__(self, titles: Sequence[str], size: Size = SIZE) -> None:
        self._titles = tuple(titles)
        self._columns = math.ceil(math.sqrt(len(titles)))
        rows = math.ceil(len(titles) / self._columns)
        self._cell = Size(size.width // self._columns, size.height // rows)
        shape = (self._cell.height * rows, self._cell.width * self._columns, 3)
        self._picture = np.zeros(shape, np.uint8)
        self._lock = threading.Lock()

    def part(self, number: int) -> Write:
        """Shows the frames of a source, by its number, in the place that it has."""
        row, column = divmod(number, self._columns)
        width, height = self._cell
        top, left = row * height, column * width

        def write(frame: Frame, found: Detections) -> bool:
            del found
            tile = self._tile(frame.image, self._titles[number])
            with self._lock:
                self._picture[top : top + height, left : left + width] = tile
            return True

        return write

    def picture(self) -> Image:
        """All of it, as it is now."""
        with self._lock:
            return self._picture.copy()

    def watch(self, title: str, stop: Stop, ended: Callable[[], bool]) -> None:
        """Show it until all has ended; q, Esc or closing the window asks for a stop.

        Raises MachineError where there is no display, or OpenCV was built without windows.
        """
        with opened_window(title, INSTEAD_OF_WINDOW):
            height, width = self._picture.shape[:2]
            fit_window(title, width, height)
            while not ended():
                cv2.imshow(title, self.picture())
                key = cv2.waitKey(_LOOK_MS) & 0xFF
                if key in STOP_KEYS or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
                    stop.ask()
                    return

    def _tile(self, image: Image, title: str) -> Image:
        """A picture as large as its place allows, on black."""
        height, width = image.shape[:2]
        scale = min(self._cell.width / width, self._cell.height / height)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, size, interpolation=how)
        tile = np.zeros((self._cell.height, self._cell.width, 3), np.uint8)
        y, x = (tile.shape[0] - size[1]) // 2, (tile.shape[1] - size[0]) // 2
        tile[y : y + size[1], x : x + size[0]] = small
        put_label(tile, title, (0, 0), _LETTERS, _COLOUR)
        return tile
