"""All outlines of a data set at once: their areas, and the boxes around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import InstanceTable, ranges
from detect_tl.core.geometry import Box, Mask, PolygonMask, RleMask, mask_box
from detect_tl.curate.rules import box_of_polygons

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rings:
    """R rings of P points, in the order of the N objects that they belong to.

    owner: (R,) the object of a ring. start: (R + 1,) where its points begin. hole: (R,) bool.
    points: (P, 2) xy, pixels. table: the objects.
    """

    owner: Index
    start: Index
    hole: NDArray[np.bool_]
    points: NDArray[np.float64]
    table: InstanceTable

    @classmethod
    def of(cls, table: InstanceTable) -> Rings:
        ring = ranges(table.first_ring, table.rings)
        if len(ring) != len(table.hole) or (ring != np.arange(len(ring))).any():
            table = table.compact()
        owner = np.repeat(np.arange(len(table)), table.rings)
        return cls(owner, table.ring_start, table.hole, table.points, table)

    @cached_property
    def lengths(self) -> Index:
        """(R,) number of points of every ring."""
        return np.diff(self.start)

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """(R,) square pixels, by the shoelace formula; never negative."""
        return np.abs(self.table.ring_areas())

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """(R, 4) the smallest box around each ring."""
        first = self.start[:-1]
        if not len(first):
            return np.zeros((0, 4))
        low, high = (f.reduceat(self.points, first) for f in (np.minimum, np.maximum))
        return np.concatenate([low, high], axis=1)

    def boxes_of_objects(self) -> tuple[Index, NDArray[np.float64]]:
        """(M,) the objects that have a mask with an area, and the (M, 4) boxes around it."""
        sound = ~self.hole & (self.lengths >= 3)
        owners, first = np.unique(self.owner[sound], return_index=True)
        around = np.empty((len(owners), 4))
        if len(owners):
            boxes = self.boxes[sound]
            around[:, :2] = np.minimum.reduceat(boxes[:, :2], first)
            around[:, 2:] = np.maximum.reduceat(boxes[:, 2:], first)
        others = self._others()
        rows = np.concatenate([owners, np.asarray([row for row, _ in others], dtype=np.int64)])
        found = np.concatenate([around, np.asarray([b for _, b in others]).reshape(-1, 4)])
        spans = found[:, 2:] - found[:, :2]
        filled = (spans > 0).all(axis=1)
        return rows[filled], found[filled]

    def _others(self) -> list[tuple[int, Box]]:
        """The boxes around masks that are not in the columns."""
        found: list[tuple[int, Box]] = []
        for row, mask in sorted(self.table.others.items()):
            box = _box(mask)
            if box is not None:
                found.append((row, box))
        return found

    def shapeless(self) -> list[tuple[int, PolygonMask]]:
        """Objects with polygons that are not in the columns, for one of them has no points."""
        others = sorted(self.table.others.items())
        return [(row, mask) for row, mask in others if isinstance(mask, PolygonMask)]


def _box(mask: Mask) -> Box | None:
    """The smallest box around a mask; None when nothing is set, or it is damaged."""
    if not isinstance(mask, RleMask):
        return box_of_polygons(mask)
    try:
        return mask_box(mask)
    except ValueError:
        return None
