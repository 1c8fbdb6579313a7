"""Images that kill the process that reads them: found out, noted as failures, and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

UNWATCHED = 2
"""Attempts at a shard without asking which image is at fault: nodes die for other reasons."""

_BLAMED = 2
"""How often a process must have died at an image until that is left out."""

Watch = Callable[[int], bool]
"""Told of the index of an image before it is read; says whether it is to be left out."""


@dataclass(slots=True)
class _Shard:
    attempts: int = 0
    at: int | None = None
    blamed: Counter[int] = field(default_factory=Counter)


class Attempts:
    """Knows how often every unfinished shard was begun, and where its processes died.

    It lives in a process of its own, which survives those that it knows of.
    """

    def __init__(self) -> None:
        self._shards: dict[int, _Shard] = {}

    def begin(self, number: int) -> tuple[int, frozenset[int]]:
        """Note an attempt: how many there were before it, and which images to leave out."""
        shard = self._shards.setdefault(number, _Shard())
        if shard.at is not None:
            shard.blamed[shard.at] += 1
            shard.at = None
        shard.attempts += 1
        bad = (index for index, times in shard.blamed.items() if times >= _BLAMED)
        return shard.attempts - 1, frozenset(bad)

    def at(self, number: int, index: int) -> None:
        """Note the image that a shard is at."""
        self._shards[number].at = index

    def end(self, number: int) -> None:
        self._shards.pop(number, None)


def watch_of(attempts: Any, number: int) -> Watch | None:
    """What is to be told of every image of a shard; None as long as nothing is suspected.

    attempts: the handle of an actor of `Attempts`.
    """
    import ray

    before, bad = ray.get(attempts.begin.remote(number))
    if before < UNWATCHED:
        return None

    def watch(index: int) -> bool:
        if index in bad:
            return True
        ray.get(attempts.at.remote(number, index))
        return False

    return watch
