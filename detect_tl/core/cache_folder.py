"""A cache: a folder of folders, of which those that were not used for longest make room."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from detect_tl.core.files import sweep


class Entry(NamedTuple):
    """A folder of a cache: when it was used last (seconds), its bytes, its place."""

    used: float
    size: int
    path: Path


def entries(cache: Path) -> Iterator[Entry]:
    """What a cache holds whole. What a process was writing when it was killed is removed."""
    for path in list(cache.iterdir()) if cache.is_dir() else ():
        if path.name.startswith("."):
            sweep(cache / path.name[1:].partition(".")[0])
            continue
        with suppress(FileNotFoundError):  # another process has just removed it
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            yield Entry(path.stat().st_mtime, size, path)


def remove(entry: Path) -> bool:
    """Remove a folder: whether it is gone."""
    shutil.rmtree(entry, ignore_errors=True)
    return not entry.exists()


def make_room(
    cache: Path, size: int, limit: int, *, remove: Callable[[Path], bool] = remove
) -> None:
    """Remove what was not used for longest, until `size` bytes more fit into `limit` bytes.

    remove: says whether it did; what it keeps goes on counting.
    """
    found = sorted(entries(cache))
    held = sum(entry.size for entry in found)
    for entry in found:
        if held + size <= limit:
            return
        if remove(entry.path):
            held -= entry.size
