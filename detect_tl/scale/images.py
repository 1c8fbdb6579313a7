"""The images of a source, one after the other and in a fixed order, however many there are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, walk_files
from detect_tl.runtime.several import is_list, read_list
from detect_tl.runtime.sources import STDIN, image_files, is_address
from detect_tl.runtime.stills import list_stills
from detect_tl.scale.tables import find_column, is_table, table_values

_LIVE = ("rtsp://", "rtmp://", "rtp://", "udp://", "tcp://")


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a source; iterating gives their places: absolute paths, or addresses.

    source: an image, a folder, a pattern, a .txt list of those and of addresses, or a table
    (Parquet, CSV, JSON lines) with a place in `column` of every row; a place may be empty where a
    row has none. limit: no more than so many.
    """

    source: str
    column: str | None = None
    limit: int | None = None

    def __iter__(self) -> Iterator[str]:
        return islice(self._all(), self.limit)

    def _all(self) -> Iterator[str]:
        if self.column is not None:
            yield from table_values(self.source, self.column)
        elif is_address(self.source):
            yield self.source
        elif is_list(self.source):
            yield from _of_list(Path(self.source))
        elif os.path.isdir(self.source):  # noqa: PTH112 - a text
            paths = walk_files(Path(self.source))
            yield from (str(p) for p in paths if p.suffix.lower() in IMAGE_SUFFIXES)
        else:
            yield from map(str, list_stills(self.source))


@dataclass(frozen=True, slots=True)
class Survey:
    """What one look over all places says. sha256: of the places in their order.

    root: the folder that all paths share, for their names; empty where there are none, and for a
    table, whose rows are to be found again by what they say.
    """

    count: int
    sha256: str
    root: str


def images_of(source: str | Path, *, column: str | None = None, limit: int | None = None) -> Images:
    """The images that a user names.

    column: of a table, where the places stand; None: the one that is called like that.
    Raises UsageError for a video, a camera, a stream or a pipe, and DataError for what is not there
    or has no images.
    """
    text = str(source)
    if text == STDIN or text.isdecimal() or text.lower().startswith(_LIVE) or _is_video(text):
        raise UsageError(
            f"{text} gives frames one after the other, which are not spread over a cluster",
            hint="Leave --engine ray out; it is for images: a folder, a pattern, a list or a table "
            "(.parquet, .csv, .jsonl) of them.",
        )
    place = text if is_address(text) else str(Path(text).expanduser().absolute())
    if is_table(place):
        return Images(place, find_column(place, column), limit)
    if column is not None:
        raise UsageError(f"{text} is no table, so it has no column {column!r}")
    found = Images(place, limit=limit)
    if not is_address(place) and next(iter(replace(found, limit=1)), None) is None:
        image_files(Path(place))  # says what is wrong with it
        raise DataError("names no images", path=Path(place))
    return found


def survey(images: Images) -> Survey:
    """Look once over all places, without keeping them."""
    count, root, seen = 0, "", ""
    digest = hashlib.sha256()
    for place in images:
        count += 1
        digest.update(os.fsencode(place) + b"\0")
        folder = os.path.dirname(place)  # noqa: PTH120 - a million times
        if images.column or folder == seen or not os.path.isabs(place):  # noqa: PTH117
            continue
        seen = folder
        root = os.path.commonpath([root, folder]) if root else folder
    if not count:
        raise DataError("names no images", path=Path(images.source))
    return Survey(count, digest.hexdigest(), root)


def name_of(place: str, root: str) -> str:
    """What an image is called in results: its path from the folder that all share, or its address.

    What is no character in a file name becomes "?".
    """
    if root and os.path.isabs(place):  # noqa: PTH117
        place = Path(place).relative_to(root).as_posix()
    return place.encode("utf-8", "replace").decode()


def _of_list(path: Path) -> Iterator[str]:
    for line in dict.fromkeys(read_list(path)):
        if is_address(line):
            yield line
        else:
            yield from (str(p) for p in list_stills(line))


def _is_video(text: str) -> bool:
    return Path(text.partition("?")[0]).suffix.lower() in VIDEO_SUFFIXES
