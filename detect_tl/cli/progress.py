"""Long work shown to a person: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress, TaskID

_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_WORTH_A_LINE = 2.0


def progress_on_stderr() -> Progress:
    """Bars when stderr is a terminal, else lines that a log file can hold."""
    return Bars() if sys.stderr.isatty() else Lines()


class Bars:
    """Bars with the time that is left; nested steps, and those of threads, one below another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: RichProgress | None = None
        self._open = 0

    @contextmanager
    def step(self, text: str, total: float | None = None) -> Iterator[_Bar]:
        with self._lock:
            live = self._start()
        task = live.add_task(_plain(text), total=total)
        try:
            yield _Bar(live, task)
            if total is None:
                done = live.tasks[live.task_ids.index(task)].completed
                live.update(task, total=done or 1, completed=done or 1)
        finally:
            with self._lock:
                self._end()

    def say(self, text: str) -> None:
        if self._live is None:
            click.echo(text, err=True)
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def _start(self) -> RichProgress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress as Live,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        if self._live is None:
            self._live = Live(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(file=sys.stderr),
            )
            self._live.start()
        self._open += 1
        return self._live

    def _end(self) -> None:
        self._open -= 1
        if self._open == 0 and self._live is not None:
            self._live.stop()
            self._live = None


class _Bar:
    def __init__(self, live: RichProgress, task: TaskID) -> None:
        self._live, self._task = live, task

    def advance(self, amount: float = 1) -> None:
        self._live.advance(self._task, amount)

    def describe(self, text: str) -> None:
        self._live.update(self._task, description=_plain(text))


class Lines:
    """A line when a step begins, now and then while it runs, and at the end of a long one."""

    @contextmanager
    def step(self, text: str, total: float | None = None) -> Iterator[_Line]:
        line = _Line(text, total)
        self.say(f"{text} …" if total is None else f"{text} … ({total:g})")
        yield line
        if line.seconds > _SECONDS_WORTH_A_LINE:
            self.say(f"{line.text}: done in {_clock(line.seconds)}")

    def say(self, text: str) -> None:
        click.echo(text, err=True)


class _Line:
    def __init__(self, text: str, total: float | None) -> None:
        self.text = text
        self._total, self._done = total, 0.0
        self._began = self._spoke = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def advance(self, amount: float = 1) -> None:
        self._done += amount
        if time.monotonic() - self._spoke < _SECONDS_BETWEEN_LINES:
            return
        self._spoke = time.monotonic()
        click.echo(f"{self.text}: {self._state()}", err=True)

    def describe(self, text: str) -> None:
        self.text = text

    def _state(self) -> str:
        if not self._total:
            return f"{self._done:g} in {_clock(self.seconds)}"
        left = self.seconds * max(self._total / self._done - 1, 0)
        return f"{self._done / self._total:.0%}, about {_clock(left)} left"


def _plain(text: str) -> str:
    """`text` with rich's markup disarmed."""
    return text.replace("[", r"\[")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes else f"{seconds:.1f} s"
