"""From the pixels an annotation was made on to the pixels of the upright image.

A tool may show an image turned by its EXIF orientation or as stored, at full size or reduced.
The size that the annotation declares tells which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    bitmap_to_rle,
    rle_to_bitmap,
)

# A reduced copy keeps its proportions; screenshots and rounding move them a little.
_SAME_SHAPE = 0.1
# No image has a longer side, whatever an annotation declares.
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """Maps coordinates of one annotation to its upright image.

    size: of the upright image, pixels.
    note: "" when nothing has to be done, else "turned", "scaled", "swapped" or "unclear".
    declared: the size that the annotation gives, when it gives one.
    """

    size: Size
    note: str = ""
    declared: Size | None = None
    orientation: int = 1
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def moves(self) -> bool:
        """Whether coordinates differ between the annotation and the upright image."""
        return self.note in ("turned", "scaled")

    def points(self, points: Ring) -> Ring:
        """(n, 2) points, xy."""
        if not self.moves:
            return points
        moved: Ring = _turn(points, self.orientation, self.size) * np.asarray(self.scale)
        return moved

    def box(self, box: Box) -> Box:
        if not self.moves:
            return box
        (ax, ay), (bx, by) = self.points(np.asarray([box[:2], box[2:]])).tolist()
        # A turn swaps corners; an inverted box must stay inverted for the checks to see it.
        if self.orientation != 1:
            return Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
        return Box(ax, ay, bx, by)

    def mask(self, mask: Mask | None) -> Mask | None:
        """Raises ValueError when run lengths do not add up."""
        if mask is None or not self.moves:
            return mask
        if isinstance(mask, PolygonMask):
            return PolygonMask(
                tuple(self.points(r) for r in mask.parts), tuple(self.points(r) for r in mask.holes)
            )
        return self._rle(mask)

    def _rle(self, mask: RleMask) -> RleMask:
        bitmap = _turn_bitmap(rle_to_bitmap(mask), self.orientation)
        if self.note == "scaled":
            import cv2

            bitmap = np.asarray(cv2.resize(bitmap, self.size, interpolation=cv2.INTER_NEAREST))
        return bitmap_to_rle(bitmap.astype(np.uint8))


def frame_of(header: tuple[Size, int], declared: Size | None, extent: Box | None = None) -> Frame:
    """Decide how the coordinates of an annotation lie on its image.

    header: upright size and EXIF orientation of the image (`core.image_header`).
    declared: the size in the annotation; None or with a zero when it gives none.
    extent: the box around all its coordinates; evidence when the sizes disagree.
    """
    size, orientation = header
    if declared is None or min(declared) <= 0 or declared == size:
        return Frame(size)
    if max(declared) > _LONGEST:
        return Frame(size, "unclear", declared)
    swapped = Size(size.height, size.width)
    if declared == swapped:
        if orientation >= 5:
            return Frame(size, "turned", declared, orientation)
        return Frame(size, "swapped", declared)
    sx, sy = size.width / declared.width, size.height / declared.height
    fits = extent is None or (extent.x2 <= declared.width + 1 and extent.y2 <= declared.height + 1)
    if fits and abs(sx / sy - 1) <= _SAME_SHAPE:
        return Frame(size, "scaled", declared, scale=(sx, sy))
    return Frame(size, "unclear", declared)


def _turn(points: Ring, orientation: int, upright: Size) -> Ring:
    """Apply a sideways EXIF orientation (5 to 8) to points of the stored image."""
    if orientation < 5:
        return points
    w, h = upright
    x, y = points[:, 0], points[:, 1]
    new_x = y if orientation in (5, 8) else w - y
    new_y = x if orientation in (5, 6) else h - x
    return np.stack([new_x, new_y], axis=1)


def _turn_bitmap(bitmap: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation < 5:
        return bitmap
    turned = bitmap.T
    if orientation in (6, 7):
        turned = turned[:, ::-1]
    if orientation in (7, 8):
        turned = turned[::-1]
    return turned
