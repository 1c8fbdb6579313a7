"""One long list of a large JSON file, taken apart without holding all of it as Python objects.

A COCO file is a few lists; one of them is nearly the whole file. It is cut into stretches at
places where one record ends and the next begins, and the stretches are parsed one at a time, in
this process or another.

Such a place is found by looking for `}, {`, which may also stand inside a text or a nested list.
Parsing tells: a stretch that begins between two records and is valid as a list ends between two
records as well. If any stretch is not valid, `BadCutError` says so, and the file has to be read
as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

_BETWEEN = re.compile(rb"\}\s*,\s*\{")
# The end of a list of objects, before another key or the end of the file.
_AFTER = re.compile(rb'\}\s*\](?=\s*(?:,\s*"[^"\\]*"\s*:|\}\s*\Z))')


# A file made to have many such places must not be parsed as often.
_MOST_ENDS = 4


class BadCutError(ValueError):
    """A list was cut in the middle of a record."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some whole records of a list: the bytes from `start` up to `stop` of a file."""

    path: Path
    start: int
    stop: int

    @property
    def length(self) -> int:
        """In bytes."""
        return self.stop - self.start

    def content(self) -> bytes:
        """The records as a list in JSON."""
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            return b"[%s]" % stream.read(self.length)

    def records(self) -> list[Any]:
        """Parse the records; raise BadCutError when they are not whole."""
        return records_in(self.content())


def records_in(content: bytes) -> list[Any]:
    """Parse the content of a stretch; raise BadCutError when its records are not whole."""
    try:
        found: list[Any] = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadCutError(str(error)) from error
    return found


@dataclass(frozen=True, slots=True)
class LongList:
    """A JSON file without one of its lists, and the stretches of that list.

    document: the rest of the file; it has the key of the list, with nothing in it.
    """

    document: dict[str, Any]
    stretches: tuple[Stretch, ...]


def cut_list(path: Path, key: str, stretch_bytes: int) -> LongList | None:
    """Take the list of objects under `key` apart, or return None when that cannot be done.

    stretch_bytes: about how long a stretch becomes.
    Raises OSError when the file cannot be read.
    """
    data = path.read_bytes()
    begin = re.compile(rb'"%s"\s*:\s*\[\s*(?=\{)' % re.escape(key.encode())).search(data)
    if begin is None:
        return None
    for end in islice(_AFTER.finditer(data, begin.end()), _MOST_ENDS):
        document = _rest(data, key, begin.end(), end.start() + 1)
        if document is not None:
            ends = _cuts(data, begin.end(), end.start() + 1, stretch_bytes)
            return LongList(document, tuple(Stretch(path, a, b) for a, b in ends))
    return None


def _rest(data: bytes, key: str, start: int, stop: int) -> dict[str, Any] | None:
    """The document without the list; None when what was cut out was not the whole list."""
    if data.startswith(b"\xef\xbb\xbf"):
        data, start, stop = data[3:], start - 3, stop - 3
    try:
        document = orjson.loads(data[:start] + data[stop:])
    except orjson.JSONDecodeError:
        return None
    whole = isinstance(document, dict) and document.get(key) == []
    return document if whole else None


def _cuts(data: bytes, start: int, stop: int, step: int) -> list[tuple[int, int]]:
    """Where stretches of about `step` bytes begin and end."""
    found = []
    while start < stop:
        between = _BETWEEN.search(data, start + step, stop) if start + step < stop else None
        end = between.start() + 1 if between else stop
        found.append((start, end))
        start = between.end() - 1 if between else stop
    return found
