"""Live sources that are read from the moment they are opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from detect_tl.core.findings import Finding
from detect_tl.runtime.frames import Frame, Source
from detect_tl.runtime.mailbox import Channel

_LET_GO_SECONDS = 3.0


class Fresh:
    """Reads a live source in a thread of its own, and keeps the newest frame.

    While a model is loaded, seconds of a stream would pile up in the buffers of the network, and
    look new when they are read. So the reading begins at once. Index and time are counted from the
    first frame that is taken.
    """

    def __init__(self, source: Source) -> None:
        self._source, self.info = source, source.info
        self._slot = Channel[Frame](newest=True)
        self._reader = threading.Thread(target=self._read, name="detect-tl fresh", daemon=True)
        self._reader.start()

    @property
    def findings(self) -> list[Finding]:
        return self._source.findings

    def __iter__(self) -> Iterator[Frame]:
        first: Frame | None = None
        for frame in self._slot:
            first = first or frame
            yield replace(frame, index=frame.index - first.index, time=frame.time - first.time)

    def stop(self) -> None:
        self._source.stop()
        self._slot.cancel()

    def close(self) -> None:
        """End the reading; a driver that hangs is left behind after a few seconds."""
        self.stop()
        self._reader.join(_LET_GO_SECONDS)

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for frame in self._source:
                if not self._slot.put(frame):
                    break
        except BaseException as caught:  # noqa: BLE001 - handed over, and raised where it is read
            error = caught
        try:
            self._source.close()
        except BaseException as caught:  # noqa: BLE001 - the same
            error = error or caught
        self._slot.close(error)


def kept_fresh(source: Source) -> Source:
    """A live source read from now on; any other as it is."""
    return Fresh(source) if source.info.live else source
