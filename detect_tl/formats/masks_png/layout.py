"""Which pictures are masks, and of which image: by the names of folders and files alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detect_tl.formats.source import Source, split_name

_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})
# Folders by these names hold masks ("PedMasks", "instance_masks"), and by the others images.
_MASK_FOLDER = re.compile(
    r".*masks?|masks?[-_].*|labels?|label_images|instances?|instance[-_]?(ids|labels)|gt|gtfine|"
    r"annotations?|ground[-_ ]?truths?|segmentations?|segmentationobject"
)
_IMAGE_FOLDER = re.compile(r".*images?|imgs?|pictures?|photos?|leftimg8bit|image_\d")
# What tools put behind the name of an image to name its mask.
_BEHIND = re.compile(
    r"[-_. ](masks?|labels?|labelids|instances?|instance_?ids|instance_?masks?|gt|seg)$"
)
_NUMBER = re.compile(r"[-_. ](\d+)$")


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A picture that holds one object or several.

    image: the picture it belongs to; None when there is none, or more than one.
    kind: the class that a folder names; "" where none does.
    single: whether it holds one object only, as its name tells.
    """

    path: Path
    image: Path | None
    kind: str
    single: bool


def find_masks(source: Source) -> list[MaskFile]:
    """The masks below the source, in the order of their paths."""
    pictures = source.images.images
    tops = {folder: _top(folder, source.root) for folder in {p.parent for p in pictures}}
    candidates = [p for p in source.candidates(*_SUFFIXES) if p.parent in tops]
    masks = {p for p in candidates if tops[p.parent] is not None}
    beside = _Images(p for p in pictures if tops[p.parent] is None)
    masks |= {p for p in candidates if p not in masks and _named_after_a_neighbour(p, beside)}
    images = _Images(p for p in pictures if p not in masks)
    return [_assigned(p, tops[p.parent], images) for p in pictures if p in masks]


def _top(folder: Path, root: Path) -> Path | None:
    """The nearest folder that says that it holds masks, unless one below it says images."""
    while folder != root and folder.is_relative_to(root):
        name = folder.name.casefold()
        if _MASK_FOLDER.fullmatch(name):
            return folder
        if _IMAGE_FOLDER.fullmatch(name):
            return None
        folder = folder.parent
    return None


class _Images:
    """Images by stem, upper and lower case alike."""

    def __init__(self, images: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in images:
            self._by_stem[path.stem.casefold()].append(path)

    def of(self, stem: str, mask: Path) -> list[Path]:
        """Images of this name; those that share most folders with the mask, when several do."""
        found = self._by_stem.get(stem.casefold(), [])
        if len(found) < 2:
            return found
        shared = [_common(path, mask) for path in found]
        return [p for p, count in zip(found, shared, strict=True) if count == max(shared)]


def _common(a: Path, b: Path) -> int:
    """How many folders, in their order from the top, two paths share; splits count anywhere."""
    same = 0
    for x, y in zip(a.parts, b.parts, strict=False):
        if x != y:
            break
        same += 1
    here, there = ({split_name(part) for part in p.parts[same:-1]} - {None} for p in (a, b))
    return 2 * same + bool(here & there)


def _named_after_a_neighbour(path: Path, images: _Images) -> bool:
    """`a_mask.png` beside `a.jpg`."""
    stem = _BEHIND.sub("", path.stem.casefold())
    return stem != path.stem.casefold() and any(
        p.parent == path.parent for p in images.of(stem, path)
    )


def _assigned(path: Path, top: Path | None, images: _Images) -> MaskFile:
    inner = [] if top is None else path.relative_to(top).parts[:-1]
    folders = [name for name in inner if split_name(name) is None]
    for name in reversed(folders):
        found = images.of(name, path)
        if found:
            kind = next((f for f in folders if f != name), "")
            return MaskFile(path, _only(found), kind, single=True)
    kind = folders[0] if folders else ""
    for stem, single in _stems(path.stem):
        found = images.of(stem, path)
        if found:
            return MaskFile(path, _only(found), kind, single)
    above = None if top is None else _image_above(top, images)
    return MaskFile(path, above, kind, single=above is not None)


def _image_above(masks: Path, images: _Images) -> Path | None:
    """DSB 2018: `<id>/images/<id>.png` is the image of all that lies in `<id>/masks`."""
    return _only([p for p in images.of(masks.parent.name, masks) if masks.parent in p.parents])


def _stems(stem: str) -> Iterator[tuple[str, bool]]:
    """What the image may be called, and whether the mask is then of a single object."""
    plain = _BEHIND.sub("", stem.casefold())
    yield stem, False
    yield plain, False
    for name in (stem, plain):
        numberless = _NUMBER.sub("", name)
        if numberless != name:
            yield numberless, True
            yield _BEHIND.sub("", numberless.casefold()), True


def _only(found: list[Path]) -> Path | None:
    return found[0] if len(found) == 1 else None
