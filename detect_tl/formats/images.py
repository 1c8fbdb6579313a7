"""Finding the image that an annotation means, by what the annotation calls it.

Names differ from files in ways that tools are known for. What differs is forgiven step by step,
the smallest difference first, and always said; where two files fit equally well, none is taken.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_NUMBER = re.compile(r"[_-]\d+$")
_EXTENSION = re.compile(r"\.[a-z][a-z0-9]{2,4}$")
# Label Studio puts eight hex digits before the name of an uploaded file.
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
# Roboflow calls what it made of "IMG 1.jpg" "IMG-1_jpg.rf.0123456789abcdef….jpg".
_VERSION = re.compile(r"_(?:jpe?g|png|bmp|webp|tiff?|mpo|gif|heic)\.rf\.[0-9a-z]{16,}$")

_MOST_PAIRS = 1_000_000

Key = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Match:
    """The image found, or None.

    forgiven: what differs between the name and the file: "" for nothing, else the name of a rule.
    rivals: the images that fit equally well, when no single one does.
    """

    path: Path | None = None
    forgiven: str = ""
    rivals: tuple[Path, ...] = ()


def _name(name: str) -> str:
    return name


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _decoded(name: str) -> str:
    return _composed(unquote(name))


def _folded(name: str) -> str:
    return _decoded(name).casefold()


def _stem(name: str) -> str:
    return _EXTENSION.sub("", _folded(name))


def _numberless(name: str) -> str:
    return _NUMBER.sub("", _stem(name))


def _uploaded(name: str) -> str:
    """A stem as Label Studio stores it: no spaces, and letters, digits, "_", "-", "." only."""
    return re.sub(r"[^-\w.]", "", _stem(name).replace(" ", "_"))


def _before_upload(name: str) -> str:
    """The stem that Label Studio put its digits before; "" for a name of another kind."""
    stem = _uploaded(name)
    return _UPLOAD.sub("", stem, count=1) if _UPLOAD.match(stem) else ""


def _hyphened(name: str) -> str:
    return re.sub(r"\W+", "-", _stem(name))


def _before_version(name: str) -> str:
    """The stem that Roboflow made a version of; "" for a name of another kind."""
    original, versions = _VERSION.subn("", _stem(name))
    return re.sub(r"\W+", "-", original) if versions else ""


# What is forgiven, how the wanted name is reduced, and how the file's name is; a name reduced to ""
# is not of the kind that the rule is for. A name may lack its extension and yet have a dot in it
# ("frame.1"). The last rule is for tools that number annotations ("Mango_0.xml" for "Mango.PNG").
_RULES: tuple[tuple[str, Key, Key], ...] = (
    ("", _name, _name),
    ("unicode", _composed, _composed),
    ("encoding", _decoded, _decoded),
    ("case", _folded, _folded),
    ("extension", _folded, _stem),
    ("extension", _stem, _stem),
    ("tool", _before_upload, _uploaded),
    ("tool", _uploaded, _before_upload),
    ("tool", _before_version, _hyphened),
    ("tool", _hyphened, _before_version),
    ("number", _numberless, _stem),
)


class ImageIndex:
    """All images below a folder, to be looked up by path, name or stem.

    Only images that were found below the folder can be returned, so a name such as
    "../../secret.png" leads nowhere.
    """

    def __init__(self, images: Iterable[Path]) -> None:
        self.images = tuple(images)
        self._paths = {os.path.normpath(p): p for p in self.images}
        self._tables: dict[Key, dict[str, list[Path]]] = {}

    def find(
        self, names: Sequence[str], *, near: Sequence[Path] = (), hints: Sequence[str] = ()
    ) -> Match:
        """Look for the first of `names` that leads to exactly one image.

        names: what the annotation calls its image, most trusted first; folders and backslashes
            in them are understood.
        near: folders that a relative name may start from, most likely first.
        hints: folder names (such as "train2017") that decide between images of the same name.
        """
        only = self._table(_name).get(names[0].rpartition("/")[2], ()) if names else ()
        if len(only) == 1:
            return Match(only[0])
        cleaned = list(dict.fromkeys(v for name in names for v in _spellings(name)))
        for name in cleaned:
            for folder in near:
                path = self._paths.get(os.path.normpath(f"{folder}{os.sep}{name}"))
                if path is not None:
                    return Match(path)
        for forgiven, wanted_key, file_key in _RULES:
            for name in cleaned:
                key = wanted_key(name.rpartition("/")[2])
                found = self._table(file_key).get(key, []) if key else []
                best = _narrow(found, name, near, hints)
                if len(best) == 1:
                    return Match(best[0], forgiven)
                if best:
                    return Match(rivals=tuple(best))
        return Match()

    def _table(self, key: Key) -> dict[str, list[Path]]:
        if key not in self._tables:
            table: dict[str, list[Path]] = defaultdict(list)
            for path in self.images:
                table[key(path.name)].append(path)
            self._tables[key] = table
        return self._tables[key]


def _spellings(name: str) -> list[str]:
    """The name as it stands, with the folders of another system, and as the path of an address."""
    found = [name, name.replace("\\", "/").strip()]
    if "://" in name:
        found.append(_path_of(name))
    return [spelled for spelled in found if spelled.strip()]


def _path_of(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def pair_left_over(names: Sequence[str], images: Sequence[Path]) -> dict[int, Path]:
    """Match what no rule could match: names and files of which one begins with the other.

    Only pairs without any rival on either side are returned, by the position of the name.
    """
    if len(names) * len(images) > _MOST_PAIRS:
        return {}
    stems = [_stem(image.name) for image in images]
    fits = [[i for i, stem in enumerate(stems) if _alike(_stem(name), stem)] for name in names]
    wanted = Counter(i for found in fits for i in found)
    return {
        place: images[found[0]]
        for place, found in enumerate(fits)
        if len(found) == 1 and wanted[found[0]] == 1
    }


def _alike(a: str, b: str) -> bool:
    a, b = sorted((a, b), key=len)
    return len(a) >= 3 and b.startswith(a)


def _narrow(
    found: Sequence[Path], name: str, near: Sequence[Path], hints: Sequence[str]
) -> Sequence[Path]:
    """Keep the images that agree best with the folders of the name, the hints and `near`."""
    if len(found) < 2:
        return found
    folders = name.split("/")[:-1]

    def agreement(path: Path) -> tuple[int, bool, bool]:
        common = 0
        for a, b in zip(reversed(folders), reversed(path.parts[:-1]), strict=False):
            if a.casefold() != b.casefold():
                break
            common += 1
        return common, any(h in path.parts for h in hints), path.parent in near

    scores = [agreement(path) for path in found]
    best = max(scores)
    return [path for path, score in zip(found, scores, strict=True) if score == best]
