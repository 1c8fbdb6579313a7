"""How a run ends before its source does: Ctrl-C, SIGTERM, another thread, a disk that fills."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from detect_tl.core.detections import Detections
from detect_tl.core.findings import Finding
from detect_tl.runtime.frames import Frame

_LEAST_FREE = 64 << 20
"""Bytes of disk that must be left to finish what is being written: a video needs its index."""

_LOOK_SECONDS = 1.0


class Disk(Protocol):
    """Bytes of a disk, as `shutil.disk_usage` gives them."""

    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


class Stop:
    """A wish to end, which any thread may utter and everybody who listens hears at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.wanted = False

    def ask(self) -> None:
        with self._lock:
            self.wanted = True
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` when the wish is uttered, in the thread that does, or now if it was."""
        with self._lock:
            self._listeners.append(listener)
            late = self.wanted
        if late:
            listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)


@contextmanager
def asked_by_signals(stop: Stop) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask for a stop, so that no frame is half written.

    Whoever has no patience presses Ctrl-C again: that is raised as KeyboardInterrupt at once. Does
    nothing outside the main thread, or to a signal that somebody else handles.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handle(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # In a thread of its own, since the code that was interrupted may hold a lock.
        threading.Thread(target=stop.ask, name="detect-tl stop", daemon=True).start()

    mine = {number: old for number, old in usual.items() if signal.getsignal(number) == old}
    for number in mine:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in mine.items():
            signal.signal(number, old)


def while_disk_lasts(path: Path, findings: list[Finding]) -> Callable[[Frame, Detections], bool]:
    """A consumer of frames that wants no more when the disk of `path` is nearly full.

    A run without an end would fill any disk; it has to stop while there is room to finish its
    files. Then it adds a finding.
    """
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    looked = 0.0

    def enough(frame: Frame, found: Detections) -> bool:
        del frame, found
        nonlocal looked
        if time.monotonic() - looked < _LOOK_SECONDS:
            return True
        looked = time.monotonic()
        disk = shutil.disk_usage(folder)
        if _enough(disk):
            return True
        text = f"the disk of {folder} is nearly full ({disk.free >> 20} MiB left); the run ended"
        findings.append(Finding("output.disk-full", "error", text))
        return False

    return enough


def _enough(disk: Disk) -> bool:
    return disk.free >= min(_LEAST_FREE, disk.total // 20)
