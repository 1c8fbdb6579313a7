"""One tree of errors; each says what happened and what to do, and carries its exit code.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | findings, or a gate that did not hold |
| 2 | usage |
| 3 | bad input data |
| 4 | missing or refused weights |
| 5 | environment: device, codec, display, disk, memory |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path


class DetectTLError(Exception):
    """A failure the user can act on.

    message: what happened, naming the file where there is one.
    hint: what to do about it; may be empty.
    path, line: where it happened, for `--json` and editors.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", path: Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.line = line

    def __reduce__(self) -> tuple[Callable[..., DetectTLError], tuple[object, ...]]:
        """An error may happen in another process, and must arrive as it is."""
        return _again, (type(self), self.message, self.hint, self.path, self.line)

    def __str__(self) -> str:
        if self.path is None:
            return self.message
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"


def _again(
    kind: type[DetectTLError], message: str, hint: str, path: Path | None, line: int | None
) -> DetectTLError:
    return kind(message, hint=hint, path=path, line=line)


class GateError(DetectTLError):
    """A check that must hold did not (parity, a metric, findings)."""

    exit_code = 1


class UsageError(DetectTLError):
    """The request itself is wrong: an unknown name, a value out of range."""

    exit_code = 2


class DataError(DetectTLError):
    """The input data cannot be used."""

    exit_code = 3


class WeightsError(DetectTLError):
    """A checkpoint is missing, damaged or refused."""

    exit_code = 4


class MachineError(DetectTLError):
    """The machine cannot do it: device, codec, display, disk or memory."""

    exit_code = 5


class OutOfMemoryError(MachineError):
    """A training needs more memory than there is: with other settings it may fit."""


def did_you_mean(wrong: str, known: Iterable[str], *, most: int = 12) -> str:
    """Return a hint that names the nearest of `known`, or the first `most` of them."""
    names = list(known)
    near = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    more = ", …" if len(names) > most else ""
    return f"Known: {', '.join(names[:most])}{more}"
