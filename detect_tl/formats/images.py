"""Finding the image that an annotation means, by what the annotation calls it."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_NUMBER = re.compile(r"[_-]\d+$")

_MOST_PAIRS = 1_000_000

Key = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Match:
    """The image found, or None.

    forgiven: what differs between the name and the file: "" for nothing, else "case",
    "extension" or "number".
    rivals: the images that fit equally well, when no single one does.
    """

    path: Path | None = None
    forgiven: str = ""
    rivals: tuple[Path, ...] = ()


def _name(name: str) -> str:
    return name


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].casefold()  # noqa: PTH122 - names, not paths


def _numberless(name: str) -> str:
    return _NUMBER.sub("", _stem(name))


# What is forgiven, how the wanted name is reduced, and how the file's name is. The last rule is
# for tools that number the annotation of an image ("Mango_0.xml" for "Mango.PNG").
_RULES: tuple[tuple[str, Key, Key], ...] = (
    ("", _name, _name),
    ("case", str.casefold, str.casefold),
    ("extension", _stem, _stem),
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
        spelled = (v for name in names for v in (name, name.replace("\\", "/").strip()))
        cleaned = [name for name in dict.fromkeys(spelled) if name.strip()]
        for name in cleaned:
            for folder in near:
                path = self._paths.get(os.path.normpath(folder / name))
                if path is not None:
                    return Match(path)
        for forgiven, wanted_key, file_key in _RULES:
            for name in cleaned:
                base = name.rpartition("/")[2]
                found = self._table(file_key).get(wanted_key(base), [])
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
