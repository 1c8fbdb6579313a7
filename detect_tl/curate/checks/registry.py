"""All checks by id, and choosing among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.curate.checks import (
    annotated,
    boxes,
    classes,
    copies,
    images,
    masks,
    noticed,
    pairs,
    splits,
)
from detect_tl.curate.checks.base import Check, Need
from detect_tl.formats.base import format_names

CRASHED = Check(
    "check.crashed",
    "error",
    "A check that failed itself",
    "What it looks for may be there or not; please report it.",
)

CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (
            *images.CHECKS,
            *copies.CHECKS,
            *annotated.CHECKS,
            *boxes.CHECKS,
            *pairs.CHECKS,
            *masks.CHECKS,
            *classes.CHECKS,
            *splits.CHECKS,
            *noticed.CHECKS,
            CRASHED,
        ),
        key=lambda each: each.id,
    )
)

_BY_ID = {each.id: each for each in CHECKS}


def find_checks(word: str) -> list[Check]:
    """The check of an id, or all of an area; raise UsageError with a suggestion for any other."""
    found = [each for each in CHECKS if _covers(word, each.id)]
    if not found and _area(word) in format_names():
        raise UsageError(
            f"{word!r} is what the reader of one format notices",
            hint="There is no more to it than what its message says.",
        )
    if not found:
        _unknown(word)
    return found


def consequence_of(id_: str) -> str:
    """What happens if a finding of this id stays; "" for the ids of single formats."""
    return _BY_ID[id_].consequence if id_ in _BY_ID else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which ids are wanted: those of `only`, or all when it is empty, without those of `skip`.

    Both hold ids ("box.duplicate") and areas ("box" or "box."). Raises UsageError, with a
    suggestion, for a word that can stand for none.
    """

    only: Sequence[str] = ()
    skip: Sequence[str] = ()

    def __post_init__(self) -> None:
        for word in (*self.only, *self.skip):
            if not any(_covers(word, id_) for id_ in _BY_ID) and _area(word) not in format_names():
                _unknown(word)

    def wants(self, id_: str) -> bool:
        wanted = not self.only or _any_covers(self.only, id_)
        return wanted and not _any_covers(self.skip, id_)

    def checks(self, *, decode: bool = True) -> list[Check]:
        """The checks to run; without decoding, those that need pixels are left out."""
        return [
            each
            for each in CHECKS
            if each.look and self.wants(each.id) and (decode or Need.PIXELS not in each.need)
        ]


def _unknown(word: str) -> NoReturn:
    areas = sorted({_area(id_) for id_ in _BY_ID})
    raise UsageError(f"there is no check {word!r}", hint=did_you_mean(word, [*areas, *_BY_ID]))


def _any_covers(words: Iterable[str], id_: str) -> bool:
    return any(_covers(word, id_) for word in words)


def _covers(word: str, id_: str) -> bool:
    return id_ == word or id_.startswith(word.rstrip(".") + ".")


def _area(id_: str) -> str:
    return id_.partition(".")[0]
