"""File names in a data set folder: flat, and no two alike."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# File systems take 255 bytes; what is written beside an image has a longer suffix, and for a moment
# the mark of an unfinished file.
_LONGEST = 200


def plan_names(images: Sequence[Path], root: Path) -> list[str]:
    """A file name for every image, in their order.

    Two images need different stems, upper and lower case alike, since `a.jpg` and `A.png` share
    the label `a.txt` on some machine. Images that collide get the names of their folders in
    front; what still collides, a number behind. A name that is too long for the files beside it is
    cut, with a hash of the whole behind; bytes that are no UTF-8 are replaced.
    """
    names = [_portable(path.name) for path in images]
    keys = [_key(name) for name in names]
    taken = Counter(keys)
    used = {key for key, count in taken.items() if count == 1}
    colliding = [k for k, key in enumerate(keys) if taken[key] > 1]
    for place in sorted(colliding, key=lambda k: str(images[k])):
        names[place] = _unused(_with_folders(images[place], root), used)
    return names


def _key(name: str) -> str:
    stem = os.path.splitext(name)[0]  # noqa: PTH122 - a name, many times
    return unicodedata.normalize("NFC", stem).casefold()


def _with_folders(path: Path, root: Path) -> str:
    inside = path.relative_to(root).parts if path.is_relative_to(root) else (path.name,)
    return _portable("_".join(inside))


def _portable(name: str) -> str:
    """The name itself, unless it is too long or holds bytes that are no UTF-8."""
    raw = os.fsencode(name)
    whole = raw.decode("utf-8", "replace")
    if len(raw) <= _LONGEST and whole == name:
        return name
    suffix = Path(whole).suffix
    mark = f"-{hashlib.sha256(raw).hexdigest()[:8]}{suffix}"
    stem = whole.removesuffix(suffix).encode()[: _LONGEST - len(mark.encode())]
    return stem.decode("utf-8", "ignore") + mark


def _unused(name: str, used: set[str]) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    number, tried = 1, name
    while _key(tried) in used:
        number += 1
        tried = f"{stem}-{number}{suffix}"
    used.add(_key(tried))
    return tried
