"""Progress as the rooms see it: a few calls, whoever shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

T = TypeVar("T")


class Step(Protocol):
    """One running bar."""

    def advance(self, amount: float = 1) -> None: ...

    def describe(self, text: str) -> None:
        """Replace the words beside the bar, for example with the latest loss."""
        ...


class Progress(Protocol):
    """Shows long work to a person. The command line draws bars; `Silent` shows nothing."""

    def step(self, text: str, total: float | None = None) -> AbstractContextManager[Step]:
        """Open a bar; `total` is None when the length is not known."""
        ...

    def say(self, text: str) -> None:
        """Print one line for people."""
        ...


class _NoStep:
    def advance(self, amount: float = 1) -> None:
        del amount

    def describe(self, text: str) -> None:
        del text


class Silent:
    """Shows nothing: the default for library use and for `-q`."""

    def step(self, text: str, total: float | None = None) -> AbstractContextManager[Step]:
        del text, total
        return nullcontext(_NoStep())

    def say(self, text: str) -> None:
        del text


def track(
    progress: Progress, items: Iterable[T], text: str, total: float | None = None
) -> Iterator[T]:
    """Yield `items` while a bar advances by one for each."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress.step(text, total) as bar:
        for item in items:
            yield item
            bar.advance()


class BarsOnly:
    """Shows the bars of long work, and keeps its remarks to itself: someone else tells of it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, text: str, total: float | None = None) -> AbstractContextManager[Step]:
        return self._progress.step(text, total)

    def say(self, text: str) -> None:
        del text
