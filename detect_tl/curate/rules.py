"""What checks and repair must agree on: when a box fits, what a file may be called, …"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from detect_tl.core.dataset import Sample
from detect_tl.core.geometry import Box, Mask, PolygonMask, rings_box

# Rounding puts boxes up to a pixel over the border; further out somebody should look.
ROUNDING = 1.0
# Below this overlap a box does not belong to its own mask.
LEAST_OVERLAP = 0.5
# Ultralytics leaves out images with a side below this, pixels.
LEAST_SIDE = 10
# Extensions that say what a file is, by Pillow's name of its format, the usual one first.
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".mpo"),
    "JPEG2000": (".jp2",),
    "MPO": (".jpg", ".jpeg", ".mpo"),  # what some cameras make of a JPEG
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff", ".dng"),
    "WEBP": (".webp",),
}


def box_of_polygons(mask: Mask | None) -> Box | None:
    """The box around the polygons of an object; None when it has none with an area."""
    if not isinstance(mask, PolygonMask):
        return None
    parts = [part for part in mask.parts if len(part) >= 3]
    around = rings_box(parts) if parts else None
    return around if around is not None and around.area > 0 else None


def overhang(box: Box, clipped: Box) -> float:
    """By how many pixels a box leaves what is left of it."""
    return max(abs(a - b) for a, b in zip(box, clipped, strict=True))


def only_fits_as_stored(
    right: float, bottom: float, size: tuple[float, float], border: float = ROUNDING
) -> bool:
    """Whether what reaches so far leaves an upright image, and fits the one stored on its side.

    size: width and height of the upright one; all in pixels.
    """
    w, h = size
    leaves = right > w + border or bottom > h + border
    return bool(leaves and right <= h + border and bottom <= w + border)


def show(box: Box) -> str:
    """A box in a message: "[x1, y1, x2, y2]"."""
    return f"[{', '.join(f'{v:g}' for v in box)}]"


def place_of(sample: Sample) -> Path:
    """The file that a finding about an object points to."""
    return sample.annotation or sample.image


def variants(names: list[str]) -> list[list[int]]:
    """Groups of names, by index, that differ in case or spaces only."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[" ".join(name.casefold().split())].append(index)
    return [group for group in groups.values() if len(group) > 1]
