"""Cameras by their number, through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.errors import MachineError
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.runtime.config import RECONNECT_SECONDS
from detect_tl.runtime.frames import Frame, SourceInfo
from detect_tl.runtime.returning import Returns, Say


class CameraSource:
    """A camera that the system knows by a number.

    When it stops giving pictures it is opened anew. patience, say: see `Returns`. Raises
    MachineError when it cannot be opened at first, or gives no picture.
    """

    def __init__(
        self, number: int, patience: float = RECONNECT_SECONDS, say: Say = lambda _: None
    ) -> None:
        import cv2

        self._number = number
        self._returns = Returns("camera", f"camera {number}", patience, say)
        self.findings: list[Finding] = []
        self._capture = _open(number)
        self._first: Any = self._read()
        self._arrived = time.monotonic()
        if self._first is None:
            self.close()
            raise MachineError(
                f"camera {number} gives no picture",
                hint="Is it covered by a privacy switch, or used by another program?",
            )
        height, width = self._first.shape[:2]
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = SourceInfo(
            kind="camera",
            name=f"camera {number}",
            size=Size(width, height),
            fps=Fraction(fps).limit_denominator(1001) if 1 <= fps <= 1000 else None,
            live=True,
            endless=True,
        )

    def __iter__(self) -> Iterator[Frame]:
        name, start, index = f"camera-{self._number}", self._arrived, 0
        image, captured = self._first, start
        self._first = None
        while image is not None:
            yield Frame(image, index, captured - start, name, captured=captured)
            if self._returns.stopped:
                return
            image = self._read()
            if image is None and not self._returns.stopped:
                self._capture.release()
                image = self._returns.get_back("it gives no more pictures", self._attempt)
            captured, index = time.monotonic(), index + 1

    def sample(self) -> Image:
        return np.asarray(self._first, np.uint8)

    def stop(self) -> None:
        self._returns.stop()

    def close(self) -> None:
        self._capture.release()
        self.findings += self._returns.findings()

    def _attempt(self) -> Any:
        """The first picture of the camera as it was opened anew; None when there is none."""
        try:
            self._capture = _open(self._number)
        except MachineError:
            return None
        image = self._read()
        if image is None:
            self._capture.release()
        return image

    def _read(self) -> Any:
        """The next picture, or None."""
        good, image = self._capture.read()
        return np.asarray(image, np.uint8) if good and image is not None else None


def _open(number: int) -> Any:
    import cv2

    # What it prints about every driver it tries says less than our one line.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture.isOpened():
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # an older frame is of no use
        return capture
    there = sorted(str(p) for p in Path("/dev").glob("video*"))
    raise MachineError(
        f"camera {number} cannot be opened",
        hint=f"Cameras of this machine: {', '.join(there)}."
        if there
        else "This machine shows no camera; is it plugged in and may this program use it?",
    )
