"""File names in a data set folder: flat, and no two alike."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def plan_names(images: Sequence[Path], root: Path) -> list[str]:
    """A file name for every image, in their order.

    Two images need different stems, upper and lower case alike, since `a.jpg` and `A.png` share
    the label `a.txt` on some machine. Images that collide get the names of their folders in
    front; what still collides, a number behind.
    """
    names = [path.name for path in images]
    keys = [_key(name) for name in names]
    taken = Counter(keys)
    used = {key for key, count in taken.items() if count == 1}
    colliding = [k for k, key in enumerate(keys) if taken[key] > 1]
    for place in sorted(colliding, key=lambda k: str(images[k])):
        names[place] = _unused(_with_folders(images[place], root), used)
    return names


def _key(name: str) -> str:
    return os.path.splitext(name)[0].casefold()  # noqa: PTH122 - a name, many times


def _with_folders(path: Path, root: Path) -> str:
    return "_".join(path.relative_to(root).parts) if path.is_relative_to(root) else path.name


def _unused(name: str, used: set[str]) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    number, tried = 1, name
    while _key(tried) in used:
        number += 1
        tried = f"{stem}-{number}{suffix}"
    used.add(_key(tried))
    return tried
