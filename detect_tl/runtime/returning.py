"""Getting a live source back that was lost, and the account of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from detect_tl.core.findings import Finding

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
STEADY_SECONDS = 10.0
"""A connection that held so long was a good one: the pauses before the next begin anew."""

Say = Callable[[str], None]

_Found = TypeVar("_Found")


class Returns:
    """The losses of one source. It is tried again, in pauses that grow from half a second to eight.

    kind: begins the codes of findings. what: the source, in words. patience: how many seconds to go
    on trying when it was lost; with 0, that is its end. say: told in one sentence of every loss and
    every return; findings sum them up.
    """

    def __init__(
        self, kind: Literal["camera", "stream"], what: str, patience: float, say: Say
    ) -> None:
        self._kind, self._what = kind, what
        self._patience, self._say = patience, say
        self._stopped = threading.Event()
        self._pause = FIRST_PAUSE
        self._began = time.monotonic()
        self._count, self._absent = 0, 0.0
        self._lost: Finding | None = None

    @property
    def stopped(self) -> bool:
        """Whether nobody wants it any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Wait for nothing any more; from any thread."""
        self._stopped.set()

    def get_back(self, why: str, attempt: Callable[[], _Found | None]) -> _Found | None:
        """What an attempt gives; None when nobody wants it, or patience is at its end.

        why: it was lost, in words. attempt: None when it fails.
        """
        lost = time.monotonic()
        if self._patience:
            self._say(f"{self._what} was lost: {why}; trying again …")
        if lost - self._began > STEADY_SECONDS:
            self._pause = FIRST_PAUSE
        while (left := self._patience - (time.monotonic() - lost)) > 0:
            if self._stopped.wait(min(self._pause, left)):
                break
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            found = attempt()
            if found is not None:
                self._began = time.monotonic()
                absent = self._began - lost
                self._count, self._absent = self._count + 1, self._absent + absent
                self._say(f"{self._what} is back after {absent:.1f} s")
                return found
        seconds = time.monotonic() - lost
        after = f" and did not come back in {seconds:.0f} s" if self._patience else ""
        text = f"{self._what} was lost ({why}){after}; what came before it was used"
        self._lost = Finding(f"{self._kind}.lost", "warning", text)
        return None

    def findings(self) -> list[Finding]:
        """The account, in the end."""
        found = [] if self._lost is None else [self._lost]
        if self._count:
            text = (
                f"{self._what} was lost and came back {self._count} time(s); {self._absent:.1f} s"
                " are missing"
            )
            found.append(Finding(f"{self._kind}.reconnected", "warning", text))
        return found
