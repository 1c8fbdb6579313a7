"""Video files and network streams, decoded by FFmpeg through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from detect_tl.core.errors import DataError, DetectTLError, MachineError
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.runtime.frames import Frame, SourceInfo, SourceKind

OPEN_SECONDS = 10.0
READ_SECONDS = 10.0
"""How long a stream may be silent before it counts as lost."""


class VideoSource:
    """A video: every frame that can be decoded, in order, turned upright.

    Damaged packets are skipped and counted; when the number of frames is not the one in the header,
    a finding says so. Raises DataError when the file is no video or not one frame can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        self.findings: list[Finding] = []
        self._damaged = 0
        try:
            self._container = _open(str(path))
            self._stream = _video_stream(self._container)
        except _open_errors() as error:
            raise DataError(
                f"neither an image nor a video that can be decoded: {_reason(error)}",
                path=path,
                hint="Is the file complete? Can a player show it?",
            ) from error
        self._start("video", path.name)

    def __iter__(self) -> Iterator[Frame]:
        stem = Path(self.info.name).stem or self.info.name
        count, moment = 0, 0.0
        start: float | None = None
        for frame in chain([self._first], self._frames):
            # Some streams carry no clock.
            seen = frame.time
            moment = moment + float(1 / (self.info.fps or 25)) if seen is None else seen
            start = moment if start is None else start
            yield Frame(_upright(frame), count, moment - start, stem, self.path)
            count += 1
        self._report(count)

    def close(self) -> None:
        self._container.close()

    def _start(self, kind: SourceKind, name: str, *, live: bool = False) -> None:
        """Decode the first frame: it tells the upright size, and whether there is any picture."""
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        if self._first is None:
            self.close()
            raise self._nothing()
        fps, count = _rate_and_count(self._container, self._stream)
        height, width = _upright(self._first).shape[:2]
        self.info = SourceInfo(
            kind=kind,
            name=name,
            size=Size(width, height),
            fps=fps,
            frame_count=None if live else count,
            live=live,
        )

    def _decoded(self) -> Iterator[Any]:
        """Frames as PyAV has them; damaged packets are counted."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self._lost(error)
                return
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self._damaged += 1

    def _lost(self, error: Exception) -> None:
        """Reading broke off: for a file that is its end, cut short."""
        self.findings.append(
            Finding(
                "video.cut-off",
                "warning",
                f"reading broke off: {_reason(error)}; the frames before it were used",
                self.path,
            )
        )

    def _nothing(self) -> DetectTLError:
        return DataError(
            "not one frame of this video can be decoded",
            path=self.path,
            hint="Is the file complete? Can a player show it?",
        )

    def _report(self, count: int) -> None:
        if self._damaged:
            text = f"{self._damaged} damaged packet(s) could not be decoded and were skipped"
            self.findings.append(Finding("video.damaged-packet", "warning", text, self.path))
        promised = self.info.frame_count
        if promised is not None and promised != count:
            text = f"the header promises {promised} frames, {count} could be decoded"
            self.findings.append(Finding("video.frame-count", "info", text, self.path))


class StreamSource(VideoSource):
    """A network stream. Raises MachineError when it cannot be opened or is lost."""

    def __init__(self, url: str) -> None:
        self.path = None
        self.findings = []
        self._damaged = 0
        self._shown = hide_password(url)
        scheme = urlsplit(url).scheme.lower()
        # RTSP over UDP loses packets on ordinary networks, and pictures tear.
        options = {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
        try:
            self._container = _open(url, options, timeout=(OPEN_SECONDS, READ_SECONDS))
            self._stream = _video_stream(self._container)
        except _open_errors() as error:
            raise self._gone("cannot be opened", _reason(error)) from error
        # A file behind http(s) has a length; it keeps all its frames, as one on disk does.
        live = scheme not in ("http", "https", "file") or self._container.duration is None
        if live:
            # Decoding frames side by side would hold some of them back.
            self._stream.thread_type = "SLICE"
        self._start("stream", self._shown, live=live)

    def _lost(self, error: Exception) -> None:
        raise self._gone("was lost", _reason(error)) from error

    def _nothing(self) -> DetectTLError:
        return self._gone("gives no picture", "not one frame can be decoded")

    def _gone(self, what: str, reason: str) -> DetectTLError:
        reason = reason.replace("Immediate exit requested", "no answer in time")
        return MachineError(
            f"the stream {self._shown} {what}: {reason}",
            hint="Check the address, the password and the network; try it in a player.",
        )


def hide_password(url: str) -> str:
    """The address without the user and password in it, for messages and file names."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _open(
    name: str,
    options: dict[str, str] | None = None,
    timeout: tuple[float, float] | None = None,
) -> Any:
    import av

    # Metadata in another encoding than UTF-8 is no reason to refuse the pictures.
    return av.open(name, options=options or {}, timeout=timeout, metadata_errors="replace")


def _open_errors() -> tuple[type[Exception], ...]:
    """What opening may raise: not all errors of FFmpeg are an OSError."""
    import av

    return av.error.FFmpegError, OSError, ValueError


def _video_stream(container: Any) -> Any:
    if not container.streams.video:
        container.close()
        raise ValueError("it has no video track")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _rate_and_count(container: Any, stream: Any) -> tuple[Fraction | None, int | None]:
    """Frames per second, and the number of frames that the header promises."""
    fps = stream.average_rate or stream.guessed_rate
    seconds = container.duration / 1_000_000 if container.duration else None
    # Some containers (Matroska) do not count their frames: duration times rate, as players do.
    count = stream.frames or (round(seconds * fps) if seconds and fps else None)
    return (Fraction(fps) if fps else None), count


def _upright(frame: Any) -> Image:
    """The picture as a player shows it, turned by the display matrix that phones write."""
    import cv2

    image = frame.to_ndarray(format="bgr24")
    turns = round(frame.rotation / 90) % 4  # quarter turns against the clock
    if turns:
        codes = cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE
        image = cv2.rotate(image, codes[turns - 1])
    return np.asarray(image, np.uint8)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
