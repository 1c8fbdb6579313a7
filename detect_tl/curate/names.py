"""File names in a data set folder: flat, and no two alike."""

from __future__ import annotations

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
    taken = Counter(map(_key, names))
    for place, path in enumerate(images):
        if taken[_key(path.name)] > 1:
            names[place] = _with_folders(path, root)
    used: set[str] = {_key(n) for n, p in zip(names, images, strict=True) if n == p.name}
    for place in sorted(range(len(images)), key=lambda k: str(images[k])):
        if names[place] != images[place].name or taken[_key(names[place])] > 1:
            names[place] = _unused(names[place], used)
    return names


def _key(name: str) -> str:
    return Path(name).stem.casefold()


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
