"""What a check is, and the list of them all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Flag, auto
from pathlib import Path
from typing import NamedTuple

from detect_tl.core.findings import Finding, Severity
from detect_tl.core.geometry import Box
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.snapshot import Snapshot


class Need(Flag):
    """What has to be known before a check can run, beyond the annotations themselves."""

    NOTHING = 0
    FILES = auto()  # headers of the image files
    CONTENTS = auto()  # which image files are equal, byte for byte
    PIXELS = auto()  # decoded images


class Note(NamedTuple):
    """What a check says: a `Finding` without the id and the severity, which are the check's."""

    message: str
    path: Path | None = None
    image: Path | None = None
    box: Box | None = None


Look = Callable[[Snapshot, Limits], Iterator[Note]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that can be wrong with a data set.

    id: dotted, area first. consequence: what happens in training or evaluation if it stays.
    limits: names of the fields of `Limits` that it compares with.
    look: a pure function that yields what it notices; None for what only reading can notice.
    whole: whether it looks at all images together. Any other finds on each image, in the order of
        the images, what it would find if there were no others.
    """

    id: str
    severity: Severity
    what: str
    consequence: str
    limits: tuple[str, ...] = ()
    need: Need = Need.NOTHING
    look: Look | None = None
    whole: bool = False

    def __call__(self, snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
        """What is wrong, as findings under the id of this check."""
        for note in self.look(snapshot, limits) if self.look else ():
            text, path, image, box = note
            yield Finding(self.id, self.severity, text, path, None, image, box)


def check(
    id: str,  # noqa: A002 - the word of the field
    severity: Severity,
    consequence: str,
    *limits: str,
    need: Need = Need.NOTHING,
    whole: bool = False,
) -> Callable[[Look], Check]:
    """Make a check of a function; the first line of its docstring says what it looks for."""

    def made(look: Look) -> Check:
        what = inspect.cleandoc(look.__doc__ or "").partition("\n")[0].rstrip(".")
        return Check(id, severity, what, consequence, limits, need, look, whole)

    return made
