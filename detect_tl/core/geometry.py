"""Boxes, polygons and run-length masks in image pixels.

x grows to the right and y downwards; (0, 0) is the outer corner of the first pixel of the image as
a person sees it, that is with its EXIF orientation applied. Other conventions live only inside the
file of the format that has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""(n, 2) vertices of a closed polygon, xy in pixels, the first not repeated at the end."""


class Size(NamedTuple):
    """Image size in pixels; named, so that (w, h) and (h, w) cannot be confused."""

    width: int
    height: int


class Box(NamedTuple):
    """Box in pixels. It may be degenerate or leave the image: checks judge, repair mends."""

    x1: float
    y1: float
    x2: float
    y2: float

    @classmethod
    def from_xywh(cls, x: float, y: float, width: float, height: float) -> Box:
        """Build from the top-left corner and the size, as COCO stores it."""
        return cls(x, y, x + width, y + height)

    @classmethod
    def from_cxcywh(cls, cx: float, cy: float, width: float, height: float) -> Box:
        """Build from the centre and the size, as YOLO and Create ML store it."""
        return cls(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Area in square pixels; 0 for a degenerate box, never negative."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        return self.x1, self.y1, self.width, self.height

    def clipped(self, size: Size) -> Box:
        """Return the part of the box inside the image."""
        w, h = size
        return Box(*(min(max(v, 0.0), m) for v, m in zip(self, (w, h, w, h), strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class PolygonMask:
    """A mask as one or more outlines. `holes` are cut out of the union of `parts`."""

    parts: tuple[Ring, ...]
    holes: tuple[Ring, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PolygonMask):
            return NotImplemented
        return _same_rings(self.parts, other.parts) and _same_rings(self.holes, other.holes)

    __hash__ = None  # type: ignore[assignment]  # holds arrays


@dataclass(frozen=True, slots=True)
class RleMask:
    """A mask as run lengths down the columns, background first (COCO's uncompressed RLE)."""

    counts: tuple[int, ...]
    size: Size


Mask = PolygonMask | RleMask


def ring(flat: Sequence[float] | NDArray[np.float64]) -> Ring:
    """Turn `[x1, y1, x2, y2, …]` into an (n, 2) ring; raise ValueError for an odd count."""
    values = np.asarray(flat, dtype=np.float64).reshape(-1)
    if values.size % 2:
        raise ValueError(f"a polygon needs pairs of numbers, got {values.size} values")
    return values.reshape(-1, 2)


def box_ring(box: Box) -> Ring:
    """The four corners of a box, clockwise on the screen from the top left."""
    x1, y1, x2, y2 = box
    return np.asarray([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float64)


def ring_area(points: Ring) -> float:
    """Area of a simple polygon in square pixels; never negative."""
    return abs(signed_ring_area(points))


def signed_ring_area(points: Ring) -> float:
    """Area in square pixels by the shoelace formula, positive if clockwise on the screen."""
    if len(points) < 3:
        return 0.0
    # Taken about the first vertex: the formula subtracts products as large as the coordinates
    # squared, and loses small polygons that lie far from the origin otherwise. The edges at the
    # first vertex then add nothing.
    x, y = (points[1:] - points[0]).T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def clip_ring(points: Ring, size: Size) -> Ring:
    """The part of a polygon inside the image (Sutherland and Hodgman, 1974).

    A concave polygon that falls apart keeps its pieces joined along the border. Returns an empty
    ring when nothing is left.
    """
    for axis, limit, sign in ((0, 0, 1), (0, size.width, -1), (1, 0, 1), (1, size.height, -1)):
        if not len(points):
            break
        inside = sign * (points[:, axis] - limit)
        if (inside >= 0).all():
            continue
        following, ahead = np.roll(points, -1, axis=0), np.roll(inside, -1)
        kept: list[NDArray[np.float64]] = []
        for a, b, da, db in zip(points, following, inside, ahead, strict=True):
            if da >= 0:
                kept.append(a)
            if (da >= 0) != (db >= 0):
                crossing = a + (b - a) * (da / (da - db))
                crossing[axis] = limit
                kept.append(crossing)
        points = np.asarray(kept, dtype=np.float64).reshape(-1, 2)
    return points


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 when both are empty."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    common = max(width, 0.0) * max(height, 0.0)
    union = a.area + b.area - common
    return common / union if union > 0 else 0.0


def boxes_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) intersection over union of (N, 4) boxes with (N, 4) others, xyxy, pair by pair.

    0 where both are empty, and where a coordinate is no number.
    """
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    common = np.clip(sides, 0, None).prod(axis=1)
    areas = (np.clip(box[:, 2:] - box[:, :2], 0, None).prod(axis=1) for box in (a, b))
    union = sum(areas) - common
    overlaps: NDArray[np.float64] = np.divide(common, union, out=np.zeros(len(a)), where=union > 0)
    return overlaps


def rings_box(rings: Sequence[Ring]) -> Box:
    """The smallest box around all vertices; raise ValueError when there are none."""
    filled = [r for r in rings if len(r)]
    if not filled:
        raise ValueError("a mask without vertices has no box")
    points = np.concatenate(filled)
    x1, y1 = points.min(axis=0)
    x2, y2 = points.max(axis=0)
    return Box(float(x1), float(y1), float(x2), float(y2))


def mask_box(mask: Mask) -> Box:
    """The smallest box around a mask; raise ValueError when the mask is empty."""
    if isinstance(mask, PolygonMask):
        return rings_box(mask.parts)
    return _rle_box(mask)


def _rle_box(mask: RleMask) -> Box:
    """From the runs alone: a mask may be declared larger than any memory."""
    h = mask.size.height
    runs = _checked_runs(mask)
    stops = np.cumsum(runs)
    seen = runs[1::2] > 0
    first, last = (stops - runs)[1::2][seen], stops[1::2][seen] - 1
    if not len(first):
        raise ValueError("an empty mask has no box")
    left, right = first // h, last // h
    # A run from one column into the next holds the lowest pixel of the one, the top of the other.
    alone = left == right
    top = int((first % h).min()) if alone.all() else 0
    bottom = int((last % h).max()) if alone.all() else h - 1
    return Box(float(left[0]), float(top), float(right[-1] + 1), float(bottom + 1))


def _checked_runs(mask: RleMask) -> NDArray[np.int64]:
    """(n,) run lengths; raise ValueError when they do not add up to the size."""
    w, h = mask.size
    runs = np.asarray(mask.counts, dtype=np.int64)
    if runs.sum() != w * h or (runs < 0).any():
        raise ValueError(f"run lengths add up to {runs.sum()}, the mask is {w}x{h}={w * h}")
    return runs


def mask_area(mask: Mask) -> float:
    """Area of a mask in square pixels. Overlapping parts are counted once for RLE only."""
    if isinstance(mask, RleMask):
        return float(sum(mask.counts[1::2]))
    return sum(map(ring_area, mask.parts)) - sum(map(ring_area, mask.holes))


def rle_to_bitmap(mask: RleMask) -> NDArray[np.uint8]:
    """Draw run lengths as an (height, width) array of 0 and 1.

    Raises ValueError when the runs do not add up to the size.
    """
    w, h = mask.size
    runs = _checked_runs(mask)
    values = (np.arange(len(runs)) % 2).astype(np.uint8)
    return np.repeat(values, runs).reshape(w, h).T


def bitmap_to_rle(bitmap: NDArray[np.uint8] | NDArray[np.bool_]) -> RleMask:
    """Turn an (height, width) array (non-zero is the object) into run lengths."""
    h, w = bitmap.shape
    flat = (bitmap != 0).T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size])))
    counts = ([0] if flat.size and flat[0] else []) + runs.tolist()
    return RleMask(tuple(int(c) for c in counts), Size(w, h))


def _same_rings(a: tuple[Ring, ...], b: tuple[Ring, ...]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
