"""Limits within which a hostile file must be read or refused."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_MORE_MEMORY = 1 << 30  # bytes beyond what the process has
_SECONDS = 30  # against what would never end; a slow machine is not to fail


class HangsError(BaseException):
    """A reader waits for something; no reader may catch this."""


@contextmanager
def bounded() -> Iterator[None]:
    """Refuse the block more memory than it may need, and end it when it seems to hang."""
    with _memory(), _time():
        yield


@contextmanager
def _memory() -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + _MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _time() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
