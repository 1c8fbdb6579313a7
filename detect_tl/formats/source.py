"""One look at what the user named: which files are there, and how they begin and end."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from copy import copy
from functools import cached_property
from itertools import chain
from pathlib import Path

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from detect_tl.formats.images import ImageIndex
from detect_tl.formats.options import RECOGNISE, ReadOptions
from detect_tl.formats.walk import Walk

_PEEK = 16 * 1024
_ARCHIVES = frozenset(".7z .bz2 .gz .rar .tar .tgz .xz .zip".split())
_ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "ann", "cvat", "gt", "label_2"})
_SPLIT_FOLDER = re.compile(
    r"(?P<train>train(?:ing)?)|(?P<val>val|valid|validation)|(?P<test>test(?:ing)?)"
)
_YEAR = re.compile(r"[-_]?\d{4}$")


class Source:
    """A folder, or one annotation file and the folder around it, walked once.

    path: what the user named. root: the folder in which images are looked for.
    files: every file below `root` in a stable order, hidden ones left out. walk: what was not read.
    options: what the user said about it.
    top: where relative names start; above `root` for a part of a source.
    """

    def __init__(self, path: Path, options: ReadOptions = RECOGNISE) -> None:
        """Raise DataError when `path` does not exist or cannot be annotations, and UsageError
        when no file is of the kind that `options.annotations` asks for."""
        _refuse(path)
        self.options = options
        self.path = path if path.is_dir() else path.absolute()
        self.root = path if path.is_dir() else _root_of(self.path)
        self.top = self.root
        self.walk = Walk(self.root, follow_links=options.follow_links)
        self.files = tuple(self.walk.files)
        self._wanted = self._annotation_files()
        self._peeks: dict[Path, bytes] = {}

    def _annotation_files(self) -> tuple[Path, ...]:
        files = self.files if self.path.is_dir() else (self.path,)
        if self.options.annotations is None:
            return files
        wanted = tuple(p for p in files if self.options.wants(self.short(p)))
        if not wanted:
            raise UsageError(
                f"--annotations {self.options.annotations}: none of the {len(files)} files"
                f" of {self.path} is called like that",
                hint="Give a name such as 'train*.json', or the end of a path below the source.",
            )
        return wanted

    def part(self, folder: Path) -> Source:
        """What lies below a folder of the source, as a source of its own."""
        part = copy(self)
        for name in ("images", "_by_suffix", "_splits"):
            part.__dict__.pop(name, None)
        part.path = part.root = folder
        part.files = tuple(p for p in self.files if p.is_relative_to(folder))
        part._wanted = tuple(p for p in self._wanted if p.is_relative_to(folder))
        return part

    @cached_property
    def images(self) -> ImageIndex:
        return ImageIndex([p for p in self.files if p.suffix.lower() in IMAGE_SUFFIXES])

    def without(self, pictures: Iterable[Path]) -> Source:
        """The same source, with pictures that hold masks left out of its images."""
        masks = set(pictures)
        other = copy(self)
        other.images = ImageIndex(p for p in self.images.images if p not in masks)
        return other

    def candidates(self, *suffixes: str) -> list[Path]:
        """Files with a suffix that may be annotations: all below `root`, or the one file that the
        user named; only those that `--annotations` asks for."""
        held = sorted(chain.from_iterable(self._by_suffix.get(s, ()) for s in set(suffixes)))
        return [path for _, path in held]

    @cached_property
    def _by_suffix(self) -> dict[str, list[tuple[int, Path]]]:
        """Files with their place among all files."""
        found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        for place, path in enumerate(self._wanted):
            found[path.suffix.lower()].append((place, path))
        return found

    def peek(self, path: Path) -> bytes:
        """The first and the last 16 KiB of a file, enough to tell formats apart."""
        if path not in self._peeks:
            self._peeks[path] = _ends(path)
        return self._peeks[path]

    def split_of(self, path: Path) -> str | None:
        """The split that a folder between `top` and `path` names ("valid", "train2017", …)."""
        folder = os.path.dirname(path)  # noqa: PTH120 - a hundred thousand times
        if folder not in self._splits:
            inside = path.is_relative_to(self.top)
            parts = path.relative_to(self.top).parts[:-1] if inside else ()
            named = (split for part in parts if (split := split_name(part)))
            self._splits[folder] = next(named, None)
        return self._splits[folder]

    @cached_property
    def _splits(self) -> dict[str, str | None]:
        return {}

    def short(self, path: Path) -> str:
        """`path` as seen from the top, for messages."""
        return path.relative_to(self.top).as_posix() if path.is_relative_to(self.top) else str(path)


def split_name(word: str) -> str | None:
    """The split that a word stands for: "valid" and "val2017" are "val"; None when it is none."""
    match = _SPLIT_FOLDER.fullmatch(_YEAR.sub("", word.casefold()))
    return match.lastgroup if match else None


def _refuse(path: Path) -> None:
    if not path.exists():
        raise DataError(
            "there is no such file or folder",
            path=path,
            hint="Name the folder that holds the images and their annotations.",
        )
    suffix = path.suffix.lower()
    if path.is_dir():
        return
    if suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        raise DataError(
            "this is a picture or a video, not annotations",
            path=path,
            hint="Name the folder that holds the images and their annotations.",
        )
    if suffix in _ARCHIVES:
        raise DataError("this is an archive", path=path, hint="Unpack it and name the folder.")


def _root_of(path: Path) -> Path:
    parent = path.parent
    return parent.parent if parent.name.casefold() in _ANNOTATION_FOLDERS else parent


def _ends(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as stream:
            head = stream.read(_PEEK)
            if len(head) < _PEEK:
                return head
            size = stream.seek(0, 2)
            stream.seek(max(_PEEK, size - _PEEK))
            return head + b"\n" + stream.read(_PEEK)
    except OSError:
        return b""  # the reader meets the same error, and names it
