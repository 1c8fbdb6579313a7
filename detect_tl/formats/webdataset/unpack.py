"""The pictures of a shard as files: those that lie beside the shards, else unpacked into a cache.

All the rest of the tool works on files. A picture is unpacked once, below a folder named by the
hash of its shard and of the shard's place in the source: the same source gives the same paths
wherever it lies, and two shards that are equal stay two.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from detect_tl.core.files import IMAGE_SUFFIXES, atomic_path

# What the system does not allow in a name, and what would lead into another folder.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]' if os.name == "nt" else r"[\x00-\x1f\x7f/]")
_LONGEST = 200  # bytes, as names in a data set folder
_KEY = 50  # characters of a key that a name is made of


def cache_folder() -> Path:
    """Where pictures are unpacked."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("detect-tl"), "unpacked")


class Unpacker:
    """Finds or writes the pictures of one shard.

    short: its path as seen from the source.
    beside: the folder that holds images/<split>/<name>, for shards that lie in a data set folder.
    """

    def __init__(self, shard: Path, short: str, cache: Path, beside: Path | None) -> None:
        self._shard = shard
        self._short = short
        self._cache = cache
        self._beside = beside
        self._taken: set[str] = set()
        self.unpacked = 0

    def place(self, key: str, suffix: str, record: Mapping[str, Any], data: bytes) -> Path:
        """A file with the content `data`; raises MachineError when the disk is full."""
        name = _plain_name(record.get("file_name"), suffix)
        there = self._lying_beside(name, record.get("split"), data) if name else None
        if there is not None:
            return there
        path = self._folder / self._unused(name or f"{_FORBIDDEN.sub('_', key)[-_KEY:]}{suffix}")
        if not (path.is_file() and path.stat().st_size == len(data)):
            with atomic_path(path) as scratch:
                scratch.write_bytes(data)
        self.unpacked += 1
        return path

    def _unused(self, name: str) -> str:
        """The name itself, or with a number in front where the shard has another one like it."""
        name = name.lstrip(".")
        tried, number = name, 1
        while tried.casefold() in self._taken:
            number += 1
            tried = f"{number}-{name}"
        self._taken.add(tried.casefold())
        return tried

    def _lying_beside(self, name: str, split: Any, data: bytes) -> Path | None:
        if self._beside is None or split not in ("train", "val", "test"):
            return None
        path = self._beside / "images" / split / name
        same = path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
        return path if same else None

    @cached_property
    def _folder(self) -> Path:
        with self._shard.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
        digest.update(self._short.encode("utf-8", "surrogateescape"))
        return self._cache / digest.hexdigest()[:16]


def _plain_name(value: Any, suffix: str) -> str | None:
    """A name that a record gives its picture, if a file may be called so; with its own ending."""
    if not isinstance(value, str) or _FORBIDDEN.search(value) or value.startswith("."):
        return None
    ending = Path(value).suffix.lower()
    fits = ending in IMAGE_SUFFIXES and suffix in IMAGE_SUFFIXES
    try:
        return value if fits and len(value.encode()) <= _LONGEST else None
    except UnicodeEncodeError:
        return None
