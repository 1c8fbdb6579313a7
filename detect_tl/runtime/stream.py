"""Network streams: the newest frame, and the connection made anew when it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from detect_tl.core.errors import MachineError
from detect_tl.core.findings import Finding
from detect_tl.core.images import Image
from detect_tl.runtime.config import RECONNECT_SECONDS
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.returning import Returns, Say
from detect_tl.runtime.video import (
    Decoding,
    VideoSource,
    damaged_packets,
    open_errors,
    pending,
    reason,
    upright,
)

OPEN_SECONDS = 10.0
READ_SECONDS = 10.0
"""How long a stream may be silent before it counts as lost."""

_JPEG_FORMATS = frozenset(("mjpeg", "mpjpeg"))

_WORDS = {
    "Immediate exit requested": "no answer in time",
    "Input/output error": "the connection broke off",
}
"""What FFmpeg says, and what it means by it here."""


def open_stream(url: str, *, patience: float = RECONNECT_SECONDS, say: Say) -> VideoSource | Stream:
    """Open what is behind an address.

    A file behind it has a length; it keeps all its frames, as one on disk does. Anything else is
    live. patience, say: see `Returns`. Raises MachineError when it cannot be opened, or shows
    nothing.
    """
    shown = hide_password(url)
    try:
        decoding = _connected(url)
    except open_errors() as error:
        raise MachineError(
            f"the stream {shown} cannot be opened: {_in_words(error)}",
            hint="Check the address, the password and the network; try it in a player.",
        ) from error
    if decoding.live:
        return Stream(url, decoding, patience, say)
    return VideoSource(decoding, "stream", shown)


class Stream:
    """A live stream. Times are those of arrival, which go on while the connection is lost.

    patience, say: see `Returns`.
    """

    def __init__(self, url: str, decoding: Decoding, patience: float, say: Say) -> None:
        self._url, self._shown = url, hide_password(url)
        self._decoding = decoding
        self._returns = Returns("stream", f"the stream {self._shown}", patience, say)
        self.info = decoding.info("stream", self._shown)
        self.findings: list[Finding] = []
        self._damaged = 0

    def __iter__(self) -> Iterator[Frame]:
        name = Path(self._shown).stem or self._shown
        index, start = 0, self._decoding.arrived
        while True:
            for captured, picture in self._decoding.pictures():
                if self._returns.stopped:
                    return
                yield Frame(pending(picture), index, captured - start, name, captured=captured)
                index += 1
            if self._has_ended() or not self._reconnect():
                return

    def sample(self) -> Image:
        return upright(self._decoding.first)

    def stop(self) -> None:
        self._returns.stop()

    def close(self) -> None:
        self._decoding.close()
        self.findings += self._returns.findings()
        damaged = self._damaged + self._decoding.damaged
        if damaged:
            self.findings.append(damaged_packets(damaged))

    def _has_ended(self) -> bool:
        """Over HTTP only JPEG after JPEG has no end; a file or a playlist that ends is at its end.

        Other protocols close a connection for one reason: that it is lost.
        """
        if self._returns.stopped:
            return True
        orderly = urlsplit(self._url).scheme.lower() in ("http", "https")
        jpegs = self._decoding.container.format.name in _JPEG_FORMATS
        return orderly and not jpegs and self._decoding.broken is None

    def _reconnect(self) -> bool:
        why = _in_words(self._decoding.broken or "the connection was closed")
        self._decoding.close()
        found = self._returns.get_back(why, self._attempt)
        if found is None:
            return False
        self._damaged += self._decoding.damaged
        self._decoding = found
        return True

    def _attempt(self) -> Decoding | None:
        try:
            return _connected(self._url)
        except open_errors():
            return None


def hide_password(url: str) -> str:
    """The address without the user and password in it, for messages and file names."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _connected(url: str) -> Decoding:
    """A connection that gives pictures; raises one of `open_errors`."""
    # RTSP over UDP loses packets on ordinary networks, and pictures tear.
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    decoding = Decoding(url, options=options, timeout=(OPEN_SECONDS, READ_SECONDS))
    if decoding.first is None:
        decoding.close()
        raise ValueError("not one picture can be decoded")
    return decoding


def _in_words(error: Any) -> str:
    text = error if isinstance(error, str) else reason(error)
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text
