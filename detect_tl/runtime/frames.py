"""What a source of pictures gives, whatever it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Literal, Protocol

from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image

SourceKind = Literal["images", "video", "stream", "camera", "several"]


class Pending:
    """A picture that is made when it is first asked for: a frame that is dropped costs nothing.

    make: gives it; called once. size: that it will have.
    One thread at a time may ask, as frames are handed from one to the next.
    """

    __slots__ = ("_image", "_make", "size")

    def __init__(self, make: Callable[[], Image], size: Size) -> None:
        self._make: Callable[[], Image] | None = make
        self._image: Image | None = None
        self.size = size

    @property
    def image(self) -> Image:
        if self._make is not None:
            self._image, self._make = self._make(), None
        assert self._image is not None, "it was made above, or before"
        return self._image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture.

    picture: its pixels, or what makes them; see `image`.
    index: 0, 1, … in the order of the source, before any are dropped.
    time: seconds since the first frame; 0 for single images.
    name: for people and file names. path: of the image or video; None for cameras and streams.
    captured: when it entered this process, in seconds of `time.monotonic`.
    """

    picture: Image | Pending
    index: int
    time: float
    name: str
    path: Path | None = None
    captured: float = field(default_factory=monotonic)

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8 BGR, upright (EXIF orientation or rotation applied)."""
        return self.picture.image if isinstance(self.picture, Pending) else self.picture

    @property
    def size(self) -> Size:
        if isinstance(self.picture, Pending):
            return self.picture.size
        return Size(self.picture.shape[1], self.picture.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What is known of a source before it is read.

    size: of the upright frames; None where they differ or are not known yet.
    fps: frames per second; None for single images.
    frame_count: as the header says, which may be wrong; None when it says nothing.
    live: frames come when they come; whoever is late gets the newest one.
    endless: it has no end of its own, as live sources and pipes: to stop it is how it ends.
    """

    kind: SourceKind
    name: str
    size: Size | None = None
    fps: Fraction | None = None
    frame_count: int | None = None
    live: bool = False
    endless: bool = False

    @property
    def title(self) -> str:
        """A file name made from the name."""
        name = Path(self.name).stem if self.kind == "video" else self.name.rpartition("://")[2]
        return re.sub(r"[^\w.-]+", "-", name).strip("-.") or self.kind


class Source(Protocol):
    """Pictures in order. Read once, by one thread, which also closes it."""

    @property
    def info(self) -> SourceInfo: ...

    @property
    def findings(self) -> list[Finding]:
        """What was odd about the source; complete once it has been read and closed."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def sample(self) -> Image:
        """A picture like those to come, as long as none has been read."""
        ...

    def stop(self) -> None:
        """Nobody wants more frames: end, and wait for none. Any thread may say so."""
        ...

    def close(self) -> None: ...
