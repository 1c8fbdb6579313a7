"""Masks from one form into another: drawn, outlined, or joined into a single ring."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import (
    Mask,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    box_iou,
    rings_box,
    rle_to_bitmap,
    signed_ring_area,
)
from detect_tl.core.rle import decode_counts


def draw_mask(mask: Mask, size: Size) -> NDArray[np.uint8]:
    """Draw a mask as an (height, width) array of 0 and 1, polygons by pycocotools' rule.

    Raises ValueError when run lengths do not add up to their size, or are of another size.
    """
    if isinstance(mask, RleMask):
        if mask.size != size:
            raise ValueError(f"the mask is {mask.size}, the image {size}")
        return rle_to_bitmap(mask)
    drawn = _draw_rings(mask.parts, size)
    if mask.holes:
        drawn &= 1 - _draw_rings(mask.holes, size)
    return drawn


def _draw_rings(rings: tuple[Ring, ...], size: Size) -> NDArray[np.uint8]:
    from pycocotools import mask as coco

    flat = [ring.reshape(-1).tolist() for ring in rings if len(ring) >= 3]
    if not flat:
        return np.zeros((size.height, size.width), np.uint8)
    runs = coco.merge(coco.frPyObjects(flat, size.height, size.width))
    return rle_to_bitmap(RleMask(tuple(decode_counts(runs["counts"])), size))


def outline(bitmap: NDArray[np.uint8] | NDArray[np.bool_]) -> PolygonMask:
    """Trace the edges between pixels of an (height, width) array: exact, with holes.

    Pixels that touch at a corner belong to one part.
    """
    import cv2

    filled = (bitmap != 0).astype(np.uint8)
    ys, xs = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if not len(xs):
        return PolygonMask(())
    top, left = int(ys[0]), int(xs[0])
    crop = filled[top : ys[-1] + 1, left : xs[-1] + 1]
    # At double size the first and the last column of a pixel can be told apart, and with them its
    # left and its right edge; the diagonal steps of a contour then all have length zero.
    double = crop.repeat(2, axis=0).repeat(2, axis=1)
    contours, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts: list[Ring] = []
    holes: list[Ring] = []
    for contour, (_, _, _, parent) in zip(contours, tree[0], strict=True):
        edges = (contour.reshape(-1, 2) + 1) // 2 + (left, top)
        (parts if parent < 0 else holes).append(_corners_only(edges.astype(np.float64)))
    return PolygonMask(tuple(parts), tuple(holes))


def _corners_only(points: Ring) -> Ring:
    """Drop repeated vertices, then those in the middle of a straight edge."""
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners: Ring = points[turns]
    return corners


def join_rings(mask: PolygonMask) -> Ring:
    """One ring with the area of the mask: parts and holes joined by bridges of zero width.

    For formats that know a single outline only. Its parts should not overlap, see `merged`.
    Raises ValueError for a mask without vertices.
    """
    if len(mask.parts) == 1 and not mask.holes and len(mask.parts[0]):
        return mask.parts[0]
    rings = [_wound(r, 1) for r in mask.parts if len(r)] + [
        _wound(r, -1) for r in mask.holes if len(r)
    ]
    if not rings:
        raise ValueError("a mask without vertices has no outline")
    joined = rings.pop(0)
    while rings:
        bridges = [_shortest_bridge(joined, ring) for ring in rings]
        nearest = min(range(len(rings)), key=lambda k: bridges[k][0])
        _, here, there = bridges[nearest]
        other = np.roll(rings.pop(nearest), -there, axis=0)
        joined = np.concatenate([joined[: here + 1], other, other[:1], joined[here:]])
    return joined


def merged(mask: PolygonMask, size: Size) -> PolygonMask:
    """The same mask with no pixel in two parts: parts that overlap become one, pixel by pixel.

    Most ways to fill one outline leave out what it covers twice.
    """
    if len(mask.parts) < 2 or not _overlap(mask.parts, size):
        return mask
    return outline(draw_mask(mask, size))


def _overlap(parts: tuple[Ring, ...], size: Size) -> bool:
    boxes = [rings_box([part]) for part in parts if len(part) >= 3]
    if not any(box_iou(a, b) for a, b in combinations(boxes, 2)):
        return False
    covered = np.zeros((size.height, size.width), np.uint8)
    for part in parts:
        drawn = _draw_rings((part,), size)
        if (covered & drawn).any():
            return True
        covered |= drawn
    return False


def _wound(ring: Ring, sign: int) -> Ring:
    """`ring` in the sense of rotation that gives the shoelace formula this sign."""
    return ring if signed_ring_area(ring) * sign >= 0 else ring[::-1]


def _shortest_bridge(a: Ring, b: Ring) -> tuple[float, int, int]:
    """Squared length and the two ends of the shortest line between vertices of two rings."""
    distance = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
    here, there = np.unravel_index(int(distance.argmin()), distance.shape)
    return float(distance[here, there]), int(here), int(there)
