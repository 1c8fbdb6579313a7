"""Videos, decoded by FFmpeg through PyAV. Streams are in `stream`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.runtime.frames import Frame, Pending, SourceInfo, SourceKind

_DEFAULT_FPS = 25
"""For the few videos without times, or a rate to make them from."""


class Decoding:
    """The first video track of a file or an address, while it is being decoded.

    first: the first picture, as PyAV has it, decoded at once: it tells the upright size, and
    whether there is any. None when there is not. arrived: when it was decoded.
    damaged: packets so far that could not be decoded. broken: why reading broke off, if it did.

    Raises one of `open_errors` when the file or address cannot be opened or has no such track.
    """

    def __init__(
        self,
        name: str,
        *,
        options: dict[str, str] | None = None,
        timeout: tuple[float, float] | None = None,
    ) -> None:
        import av

        # Metadata in another encoding than UTF-8 is no reason to refuse the pictures.
        self.container = av.open(
            name, options=options or {}, timeout=timeout, metadata_errors="replace"
        )
        if not self.container.streams.video:
            self.container.close()
            raise ValueError("it has no video track")
        self._stream = self.container.streams.video[0]
        # Decoding frames side by side would hold some of a live stream back.
        self._stream.thread_type = "SLICE" if self.live else "AUTO"
        self.damaged = 0
        self.broken: str | None = None
        self._rest = self._decoded()
        self.first: Any = next(self._rest, None)
        self.arrived = time.monotonic()

    @property
    def promised(self) -> int:
        """Number of frames in the header; 0 where it (Matroska's) does not count them."""
        return int(self._stream.frames)

    @property
    def live(self) -> bool:
        """Whether frames are gone when nobody takes them; a file behind http(s) has a length."""
        scheme, there, _ = self.container.name.lower().partition("://")
        if not there or scheme == "file":
            return False
        return scheme not in ("http", "https") or self.container.duration is None

    def pictures(self) -> Iterator[tuple[float, Any]]:
        """Each picture as PyAV has it, and when it came."""
        first, self.first = self.first, None
        if first is not None:
            yield self.arrived, first
        for picture in self._rest:
            yield time.monotonic(), picture

    def info(self, kind: SourceKind, name: str) -> SourceInfo:
        """What is known of it; there must be a first picture."""
        fps = self._stream.average_rate or self._stream.guessed_rate
        duration = self.container.duration
        estimate = round(duration / 1_000_000 * fps) if duration and fps else None
        return SourceInfo(
            kind=kind,
            name=name,
            size=_upright_size(self.first),
            fps=Fraction(fps) if fps else None,
            frame_count=None if self.live else self.promised or estimate,
            live=self.live,
            endless=self.live,
        )

    def close(self) -> None:
        self.container.close()

    def _decoded(self) -> Iterator[Any]:
        import av

        packets = self.container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.broken = reason(error)
                return
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damaged += 1


class VideoSource:
    """A video: every frame that can be decoded, in order, turned upright.

    Damaged packets are skipped and counted; when the number of frames is not the one in the header,
    or what length and rate make it, or reading broke off, a finding says so.

    path: of the file, None for one behind an address.
    """

    def __init__(
        self, decoding: Decoding, kind: SourceKind, name: str, path: Path | None = None
    ) -> None:
        self._decoding, self._path = decoding, path
        self.info = decoding.info(kind, name)
        self.findings: list[Finding] = []
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        stem = Path(self.info.name).stem or self.info.name
        step = float(1 / (self.info.fps or _DEFAULT_FPS))
        count, moment = 0, -step
        start: float | None = None
        steady = True
        for captured, picture in self._decoding.pictures():
            if self._ended.is_set():
                return
            before, seen = moment, picture.time  # some videos carry no times
            moment = before + step if seen is None else seen
            start = moment if start is None else start
            steady = steady and (not count or _fits((moment - before) / step, step))
            yield Frame(pending(picture), count, moment - start, stem, self._path, captured)
            count += 1
        self._report(count, steady)

    def sample(self) -> Image:
        return upright(self._decoding.first)

    def stop(self) -> None:
        self._ended.set()

    def close(self) -> None:
        self._decoding.close()

    def _report(self, count: int, steady: bool) -> None:
        """Say what was odd; steady: whether the rate held, so that it says what to expect."""
        if self._decoding.broken:
            text = f"reading broke off: {self._decoding.broken}; the frames before it were used"
            self.findings.append(Finding("video.cut-off", "warning", text, self._path))
        damaged = self._decoding.damaged
        if damaged:
            self.findings.append(damaged_packets(damaged, self._path))
        expected, promised = self.info.frame_count, self._decoding.promised
        if expected not in (None, count) and (promised or steady):
            who = "the header promises" if promised else "length and rate make"
            text = f"{who} {expected} frames, {count} could be decoded"
            self.findings.append(Finding("video.frame-count", "info", text, self._path))


def open_video(path: Path) -> VideoSource:
    """Open a video file. Raises DataError when it is none or not one frame can be decoded."""
    hint = "Is the file complete? Can a player show it?"
    try:
        decoding = Decoding(str(path))
    except open_errors() as error:
        text = f"neither an image nor a video that can be decoded: {reason(error)}"
        raise DataError(text, path=path, hint=hint) from error
    if decoding.first is None:
        decoding.close()
        raise DataError("not one frame of this video can be decoded", path=path, hint=hint)
    return VideoSource(decoding, "video", path.name, path)


def _fits(steps: float, step: float) -> bool:
    """Whether a time between two frames is a number of steps, but for rounding to milliseconds."""
    return abs(steps - round(steps)) < max(0.1, 0.0015 / step)


def damaged_packets(count: int, path: Path | None = None) -> Finding:
    text = f"{count} damaged packet(s) could not be decoded and were skipped"
    return Finding("video.damaged-packet", "warning", text, path)


def open_errors() -> tuple[type[Exception], ...]:
    """What opening may raise: not all errors of FFmpeg are an OSError."""
    import av

    return av.error.FFmpegError, OSError, ValueError


def pending(frame: Any) -> Pending:
    """The picture, not yet converted."""
    return Pending(lambda: upright(frame), _upright_size(frame))


def _upright_size(frame: Any) -> Size:
    sideways = _quarter_turns(frame) % 2
    return Size(frame.height, frame.width) if sideways else Size(frame.width, frame.height)


def _quarter_turns(frame: Any) -> int:
    """Against the clock, from 0 to 3."""
    turns: int = round(frame.rotation / 90) % 4
    return turns


def upright(frame: Any) -> Image:
    """The picture as a player shows it, turned by the display matrix that phones write.

    FFmpeg's own conversion: OpenCV's from YUV is no faster and up to 5 levels off.
    """
    import cv2

    image = frame.to_ndarray(format="bgr24")
    turns = _quarter_turns(frame)
    if turns:
        codes = cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE
        image = cv2.rotate(image, codes[turns - 1])
    return np.asarray(image, np.uint8)


def reason(error: Exception) -> str:
    """Why FFmpeg refused, in its words."""
    return str(getattr(error, "strerror", None) or error)
