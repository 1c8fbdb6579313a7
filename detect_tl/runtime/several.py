"""Several sources at once, from a list such as `streams.txt`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from detect_tl.core.errors import DataError, DetectTLError
from detect_tl.core.findings import Finding
from detect_tl.core.images import Image
from detect_tl.core.progress import Progress
from detect_tl.runtime.frames import Source, SourceInfo
from detect_tl.runtime.pipeline import joined_stats
from detect_tl.runtime.result import PredictResult
from detect_tl.runtime.sinks import Write
from detect_tl.runtime.sources import STDIN, is_address
from detect_tl.runtime.stopping import Stop, asked_by_signals
from detect_tl.runtime.stream import hide_password
from detect_tl.runtime.wall import Wall

T = TypeVar("T")

LIST_SUFFIX = ".txt"


class Several:
    """The sources of a list that could be opened; a finding for each that could not."""

    def __init__(self, name: str, sources: Sequence[Source], findings: Sequence[Finding]) -> None:
        self.sources = tuple(sources)
        self.findings = list(findings)
        self.info = SourceInfo(
            kind="several",
            name=name,
            live=any(source.info.live for source in sources),
            endless=any(source.info.endless for source in sources),
        )

    def titles(self) -> dict[Source, str]:
        """A file name for each, numbered where one comes again: cam, cam-2, cam-3."""
        names: dict[Source, str] = {}
        for source in self.sources:
            name = candidate = source.info.title
            taken = {other.casefold() for other in names.values()}
            for number in count(2):
                if candidate.casefold() not in taken:
                    break
                candidate = f"{name}-{number}"
            names[source] = candidate
        return names

    def sample(self) -> Image:
        """A picture of the first one."""
        return self.sources[0].sample()

    def close(self) -> None:
        for source in self.sources:
            source.close()


def is_list(source: str | Path) -> bool:
    return str(source).lower().endswith(LIST_SUFFIX) and not is_address(str(source))


def read_list(path: Path) -> list[str]:
    """The sources that a text file names: one a line, # begins a comment of a line of its own.

    Relative paths are seen from the folder of the list. Raises DataError when the file cannot be
    read or names none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(
            f"cannot be read: {why}", path=path, hint="It should name one source a line."
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    sources = [_from(path.parent, line) for line in lines if line and not line.startswith("#")]
    if not sources:
        raise DataError("this list names no source", path=path, hint="Write one source a line.")
    return sources


def open_any(
    source: str | Path, opened: Callable[[str | Path], Source], say: Callable[[str], None]
) -> Source | Several:
    """Open one source, or all of a list."""
    return open_list(Path(source), opened, say) if is_list(source) else opened(source)


def open_list(path: Path, opened: Callable[[str], Source], say: Callable[[str], None]) -> Several:
    """Open all sources of a list at the same time, since each may take seconds to answer.

    One that fails is said and becomes a finding; when all do, the error of the first is raised.
    """
    names = read_list(path)

    def attempt(name: str) -> Source | DetectTLError:
        try:
            if is_list(name):
                raise DataError("a list cannot name another list", path=Path(name))
            return opened(name)
        except DetectTLError as error:
            return error

    with ThreadPoolExecutor(len(names), "detect-tl opening") as pool:
        answers = list(pool.map(attempt, names))
    errors = [answer for answer in answers if isinstance(answer, DetectTLError)]
    if len(errors) == len(answers):
        raise errors[0]
    shown = [hide_password(name) if is_address(name) else name for name in names]
    findings = [
        _failed(name, answer, say)
        for name, answer in zip(shown, answers, strict=True)
        if isinstance(answer, DetectTLError)
    ]
    sources = [answer for answer in answers if not isinstance(answer, DetectTLError)]
    return Several(path.name, sources, findings)


def run_each(
    several: Several,
    run: Callable[[Source, Stop], T],
    say: Callable[[str], None],
    meanwhile: Callable[[Stop, Callable[[], bool]], None] | None = None,
) -> list[T]:
    """Run something for every source at the same time, and return what it gave, in their order.

    run: called in a thread for each source; ends when the stop that it is handed is wanted, as it
    is after Ctrl-C and SIGTERM. meanwhile: called in this thread with that stop, and what tells
    whether all have ended.
    A source that fails does not stop the others: it is said and becomes a finding, and so does one
    that was stopped before its end. When no run gives anything, what the first raised is raised.
    """
    stop = Stop()

    def attempt(source: Source) -> T | DetectTLError | KeyboardInterrupt:
        try:
            return run(source, stop)
        except DetectTLError as error:
            several.findings.append(_failed(source.info.name, error, say))
            return error
        except KeyboardInterrupt as error:
            text = f"{source.info.name} was stopped before its end; nothing of it was kept"
            several.findings.append(Finding("source.stopped", "warning", text))
            return error
        except BaseException:
            stop.ask()
            raise

    sources = several.sources
    with ThreadPoolExecutor(len(sources), "detect-tl run") as pool, asked_by_signals(stop):
        tasks = [pool.submit(attempt, each) for each in sources]
        if meanwhile is not None:
            try:
                meanwhile(stop, lambda: all(task.done() for task in tasks))
            except BaseException:
                stop.ask()
                raise
        answers = [task.result() for task in tasks]
    good = [a for a in answers if not isinstance(a, DetectTLError | KeyboardInterrupt)]
    if not good and isinstance(answers[0], BaseException):
        raise answers[0]
    return good


def predict_each(
    several: Several,
    run: Callable[[Source, Path | None, Stop, Write | None], PredictResult],
    out: Path | None,
    progress: Progress,
    *,
    show: bool = False,
) -> PredictResult:
    """Predict on every source, see `run_each`, and add up what that gave.

    out: each source has a folder of its own in it, which appears when that source has ended. show:
    all in one window, in this thread, which must be the main one.
    """
    titles = several.titles()
    wall = Wall(list(titles.values())) if show else None
    parts_of_wall = {} if wall is None else {s: wall.part(k) for k, s in enumerate(titles)}
    with progress.step(f"Detecting on {several.info.name}", len(titles)) as bar:

        def one(source: Source, stop: Stop) -> PredictResult:
            try:
                own = None if out is None else out / titles[source]
                return run(source, own, stop, parts_of_wall.get(source))
            finally:
                bar.advance()

        try:
            watch = None if wall is None else partial(wall.watch, f"detect-tl: {several.info.name}")
            parts = run_each(several, one, progress.say, watch)
        except BaseException:
            if out is not None:
                with suppress(OSError):  # raised where some folder is in it, or it was never made
                    out.rmdir()
            raise
    objects: Counter[str] = Counter()
    for part in parts:
        objects.update(part.objects)
    return replace(
        parts[0],
        source=several.info,
        stats=joined_stats([part.stats for part in parts]),
        objects=dict(objects),
        files=tuple(path for part in parts for path in part.files),
        findings=(*several.findings, *(finding for part in parts for finding in part.findings)),
        tracks=None if parts[0].tracks is None else sum(part.tracks or 0 for part in parts),
        counts=None,
        parts=tuple(parts),
    )


def _failed(name: str, error: DetectTLError, say: Callable[[str], None]) -> Finding:
    text = error.message if name in error.message else f"{name}: {error.message}"
    say(text)
    return Finding("source.failed", "error", text)


def _from(folder: Path, name: str) -> str:
    """A source as it is opened from where the program runs."""
    if is_address(name) or name.isdecimal() or name == STDIN:
        return name
    return str(folder / Path(name).expanduser())
