"""Mending outlines: those that cross themselves, leave the image or enclose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from detect_tl.core.geometry import PolygonMask, Ring, Size

# Corners that are found anew lie on a grid this fine, which floats hold exactly: mending what is
# mended then changes nothing.
_GRID = 2.0**-10


@dataclass(frozen=True, slots=True)
class MendedMask:
    """A mask whose rings neither cross themselves nor leave the image, and what was done to it.

    mask: None when nothing is left; the one that came in when nothing had to be done.
    crossing, outside, empty: how many rings crossed themselves, left the image, had no area.
    """

    mask: PolygonMask | None
    crossing: int = 0
    outside: int = 0
    empty: int = 0


def valid_mask(mask: PolygonMask, size: Size) -> MendedMask:
    """Make every ring a simple one inside the image, with the area that it was drawn with.

    What a ring encloses twice is outside of it, as pycocotools and OpenCV draw it. Rings that are
    sound stay as they are, to the bit.
    """
    rings = [*mask.parts, *mask.holes]
    flaws = [_flaw(ring) for ring in rings]
    outside = [not _inside(ring, size) for ring in rings]
    if not any(flaws) and not any(outside):
        return MendedMask(mask)
    parts: list[Ring] = []
    holes: list[Ring] = []
    for place, ring in enumerate(rings):
        target = parts if place < len(mask.parts) else holes
        if not flaws[place] and not outside[place]:
            target.append(ring)
            continue
        shapes = list(_shapes(ring, size))
        # A hole is cut out of all parts, so one may only be made where there is a single part.
        if target is holes or len(mask.parts) > 1 or len(shapes) > 1:
            shapes = [piece for shape in shapes for piece in _without_holes(shape)]
        for shape in shapes:
            target.append(_ring(shape.exterior))
            holes += map(_ring, shape.interiors)
    return MendedMask(
        PolygonMask(tuple(parts), tuple(holes)) if parts else None,
        crossing=flaws.count("crossing"),
        outside=sum(outside),
        empty=flaws.count("empty"),
    )


def _flaw(ring: Ring) -> str:
    """ "empty" for a ring that encloses nothing, "crossing" for one that is not simple, else ""."""
    import shapely

    if len(ring) < 3:
        return "empty"
    if shapely.is_valid(shapely.polygons(ring)):
        return ""
    # Not judged by the shoelace formula, by which the two halves of an 8 are nothing.
    return "crossing" if any(_shapes(ring)) else "empty"


def _inside(ring: Ring, size: Size) -> bool:
    return bool((ring >= 0).all() and (ring <= size).all())


def _shapes(ring: Ring, size: Size | None = None) -> Iterator[Any]:
    """The shapely polygons that a ring encloses, inside the image if there is one."""
    import shapely

    if len(ring) < 3:
        return
    snapped = np.round(ring / _GRID) * _GRID
    found = list(_polygons(shapely.make_valid(shapely.polygons(snapped))))
    shape = shapely.set_precision(shapely.MultiPolygon(found), _GRID)
    if size is not None:
        shape = shapely.intersection(shape, shapely.box(0, 0, *size), grid_size=_GRID)
    yield from _polygons(shape)


def _polygons(shape: Any) -> Iterator[Any]:
    """The polygons in a geometry; points and lines enclose nothing."""
    import shapely

    if shape.geom_type == "Polygon":
        if shape.area > 0:
            yield shape
        return
    parts = shapely.get_parts(shape).tolist()
    if parts != [shape]:
        for part in parts:
            yield from _polygons(part)


def _without_holes(shape: Any) -> Iterator[Any]:
    """Pieces of a polygon that together cover it, none of which has a hole."""
    import shapely

    left, top, right, bottom = shape.bounds
    middles = [round(hole.centroid.x / _GRID) * _GRID for hole in shape.interiors]
    middle = next((x for x in middles if left < x < right), None)
    if middle is None:
        yield shapely.Polygon(shape.exterior)
        return
    for half in (shapely.box(left, top, middle, bottom), shapely.box(middle, top, right, bottom)):
        for piece in _polygons(shapely.intersection(shape, half, grid_size=_GRID)):
            yield from _without_holes(piece)


def _ring(line: Any) -> Ring:
    """The vertices of a shapely ring, the first not repeated."""
    return np.asarray(line.coords, dtype=np.float64)[:-1, :2]
