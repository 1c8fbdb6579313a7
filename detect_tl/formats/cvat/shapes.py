"""The shapes of CVAT: from the numbers in its elements to boxes and masks.

A rotation is in degrees about the centre, clockwise on the screen. A mask is stored as run lengths
along the rows of the smallest rectangle around it, background first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, RleMask, Size, rings_box
from detect_tl.formats.cvat.nodes import Node
from detect_tl.formats.ellipse import ellipse_ring
from detect_tl.formats.records import (
    MOST_PIXELS,
    bitmap_box,
    number,
    numbers,
    outline,
    placed_bitmap,
    rotated_ring,
)


@dataclass(frozen=True, slots=True)
class Turned:
    """A rectangle or an ellipse. bounds: before its rotation by so many degrees."""

    bounds: Box
    rotation: float = 0.0
    round: bool = False

    def drawn(self) -> tuple[Box, Mask | None]:
        """The box around it, and its outline unless the box says it all."""
        if self.round:
            x, y = (self.bounds.x1 + self.bounds.x2) / 2, (self.bounds.y1 + self.bounds.y2) / 2
            rx, ry = self.bounds.width / 2, self.bounds.height / 2
            ring = ellipse_ring(x, y, rx, ry, self.rotation)
        elif self.rotation % 360:
            ring = rotated_ring(self.bounds, self.rotation)
        else:
            return self.bounds, None
        return rings_box([ring]), PolygonMask((ring,))

    def towards(self, other: Shape, share: float) -> Shape | None:
        """The shape after this share of the way to `other`; it turns the shorter way round."""
        if not isinstance(other, Turned) or other.round != self.round:
            return None
        pairs = zip(self.bounds, other.bounds, strict=True)
        turn = (other.rotation - self.rotation + 180) % 360 - 180
        bounds = Box(*(a + (b - a) * share for a, b in pairs))
        return replace(self, bounds=bounds, rotation=self.rotation + turn * share)


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A polygon."""

    ring: Ring

    def drawn(self) -> tuple[Box, Mask | None]:
        return rings_box([self.ring]), PolygonMask((self.ring,))

    def towards(self, other: Shape, share: float) -> Shape | None:
        """The same where it does not change; which corners belong together is not written."""
        del share
        same = isinstance(other, Outline) and np.array_equal(self.ring, other.ring)
        return self if same else None


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A mask of pixels. CVAT knows no masks between frames."""

    box: Box
    mask: RleMask

    def drawn(self) -> tuple[Box, Mask | None]:
        return self.box, self.mask

    def towards(self, other: Shape, share: float) -> Shape | None:
        del other, share
        return None


Shape = Turned | Outline | Bitmap


def read_shape(node: Node, size: Size | None) -> Shape:
    """The shape of an element; raise ValueError or KeyError for one that is damaged.

    size: of the image that a mask lies on.
    """
    return _READERS[node.tag](node.attributes, size)


def _rectangle(values: Mapping[str, str], size: Size | None) -> Shape:
    del size
    corners = Box(*numbers(values[name] for name in ("xtl", "ytl", "xbr", "ybr")))
    return Turned(corners, _rotation(values))


def _ellipse(values: Mapping[str, str], size: Size | None) -> Shape:
    del size
    cx, cy, rx, ry = numbers(values[name] for name in ("cx", "cy", "rx", "ry"))
    if rx <= 0 or ry <= 0:
        raise ValueError(f"its radii are {rx:g} and {ry:g}")
    return Turned(Box(cx - rx, cy - ry, cx + rx, cy + ry), _rotation(values), round=True)


def _polygon(values: Mapping[str, str], size: Size | None) -> Shape:
    del size
    pairs = [pair.split(",") for pair in values["points"].split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError('its points are not of the form "x,y;x,y"')
    return Outline(outline([[number(x), number(y)] for x, y in pairs]))


def _bitmap(values: Mapping[str, str], size: Size | None) -> Shape:
    left, top, width, height = (_whole(values, n) for n in ("left", "top", "width", "height"))
    if size is None:
        raise ValueError("a mask needs the size of its image")
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise ValueError(f"its mask is {width}x{height}")
    runs = [int(word) for word in values["rle"].split(",")]
    if min(runs) < 0 or sum(runs) != width * height:
        raise ValueError(f"its run lengths add up to {sum(runs)}, not to {width}x{height}")
    filled = (np.arange(len(runs)) % 2).astype(np.uint8)
    patch = np.repeat(filled, runs).reshape(height, width)
    return Bitmap(bitmap_box(patch, left, top), placed_bitmap(patch, left, top, size))


_READERS: Mapping[str, Callable[[Mapping[str, str], Size | None], Shape]] = {
    "box": _rectangle,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "mask": _bitmap,
}
WITH_AREA = frozenset(_READERS)


def _whole(values: Mapping[str, str], name: str) -> int:
    found = number(values[name])
    if found != int(found):
        raise ValueError(f"its {name} is {found:g}, not a whole number")
    return int(found)


def _rotation(values: Mapping[str, str]) -> float:
    return number(values["rotation"]) if "rotation" in values else 0.0
