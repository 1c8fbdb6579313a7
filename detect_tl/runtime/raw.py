"""Raw frames from a pipe, as `ffmpeg … -f rawvideo -pix_fmt bgr24 -` writes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.runtime.frames import Frame, SourceInfo

_MOST_FPS = 1000


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Size of the frames, three bytes a pixel (blue, green, red), and how many come in a second.

    Raises UsageError when one of them makes no sense.
    """

    size: Size
    fps: float = 25.0

    def __post_init__(self) -> None:
        if min(self.size) < 1 or not 0 < self.fps <= _MOST_FPS:
            raise UsageError(
                f"raw frames of {self.size.width}x{self.size.height}, {self.fps:g} a second",
                hint=f"Sides must be 1 or more, and the rate above 0 and up to {_MOST_FPS}.",
            )

    @property
    def nbytes(self) -> int:
        """Bytes of one frame."""
        return 3 * self.size.width * self.size.height


class Readable(Protocol):
    """What reading asks of a file: its first bytes, as many as there are, into a buffer."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def close(self) -> None: ...


class RawSource:
    """Every frame of a pipe. What is too little for a last one is a finding.

    Raises DataError when nothing comes in, or less than one frame.
    """

    def __init__(self, stream: Readable, form: RawFormat, name: str = "stdin") -> None:
        self._stream, self._form = stream, form
        self.info = SourceInfo(
            kind="video",
            name=name,
            size=form.size,
            fps=Fraction(form.fps).limit_denominator(1001),
            endless=True,
        )
        self.findings: list[Finding] = []
        self._ended = threading.Event()
        self._first = self._read()
        if self._first is None:
            stream.close()
            got = f"only {self._over} bytes came in" if self._over else "nothing came in"
            raise DataError(
                f"not one frame on {name}: {got}, a frame of {form.size.width}x{form.size.height} "
                f"has {form.nbytes}",
                hint="Check the size, and that what is before the pipe writes raw bgr24 frames.",
            )

    def __iter__(self) -> Iterator[Frame]:
        image, index = self._first, 0
        self._first = None
        while image is not None and not self._ended.is_set():
            yield Frame(image, index, index / self._form.fps, self.info.name)
            image, index = self._read(), index + 1
        if self._over:
            text = (
                f"the last frame on {self.info.name} is incomplete and was left out: "
                f"{self._over} of {self._form.nbytes} bytes"
            )
            self.findings.append(Finding("stdin.partial-frame", "warning", text))

    def stop(self) -> None:
        self._ended.set()

    def close(self) -> None:
        self._stream.close()

    def _read(self) -> NDArray[np.uint8] | None:
        """The next frame, or None when there is no whole one; `_over` is what there is of it."""
        width, height = self._form.size
        image = np.empty((height, width, 3), np.uint8)
        rest = image.data.cast("B")
        while rest and (got := self._stream.readinto(rest)):
            rest = rest[got:]
        self._over = (image.nbytes - len(rest)) % image.nbytes
        return None if rest else image
