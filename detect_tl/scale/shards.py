"""The images of a source cut into shards: what is done, written and counted at a time.

A shard has its number by its place in the source, so that a run that goes on knows what is left.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from detect_tl.core.errors import DataError
from detect_tl.scale.images import Images

_FEWEST, _MOST = 16, 1000
_SHARDS = 256
"""About how many a run has, as long as they are neither tiny nor take long to do again."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Images that follow one another in the source; `first` is the index of the first of them."""

    number: int
    first: int
    places: list[str]


def shard_size(count: int) -> int:
    """How many images a shard has, for so many in all."""
    return min(max(count // _SHARDS, _FEWEST), _MOST)


def shards_left(
    images: Images, size: int, done: Collection[int], sha256: str | None = None
) -> Iterator[Shard]:
    """The shards of a source that are not done.

    sha256: of all places, as `survey` gives it; raises DataError at the end when it was another.
    """
    places, digest, number = iter(images), hashlib.sha256(), 0
    while part := list(islice(places, size)):
        for place in part:
            digest.update(os.fsencode(place) + b"\0")
        if number not in done:
            yield Shard(number, number * size, part)
        number += 1
    if sha256 is not None and digest.hexdigest() != sha256:
        raise DataError(
            f"the images of {images.source} changed while they were read",
            hint="Begin anew, with another --out, when nothing is added or taken away any more.",
        )
