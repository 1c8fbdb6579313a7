"""The shapes of VIA, from its `shape_attributes` to boxes and masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, rings_box
from detect_tl.formats.ellipse import ellipse_ring
from detect_tl.formats.no_area import NoAreaError
from detect_tl.formats.records import number, numbers, outline

_Shape = Mapping[str, Any]
_Drawn = tuple[Box, Mask | None]

_LINES = frozenset({"point", "line", "polyline"})


def parse_shape(shape: _Shape) -> _Drawn:
    """A box, and the mask of what is more than that, in pixels.

    Raises NoAreaError for a point or a line, and one of `records.UNREADABLE`, saying what is
    wrong, for anything that is not sound.
    """
    kind = str(shape["name"])
    if kind in _LINES:
        raise NoAreaError(kind)
    if kind not in _DRAWN:
        raise ValueError(f"there is no shape {kind[:40]!r}")
    return _DRAWN[kind](shape)


def _rect(shape: _Shape) -> _Drawn:
    x, y, w, h = numbers(shape[key] for key in ("x", "y", "width", "height"))
    return Box.from_xywh(x, y, w, h), None


def _polygon(shape: _Shape) -> _Drawn:
    xs, ys = numbers(shape["all_points_x"]), numbers(shape["all_points_y"])
    ring = np.stack([np.asarray(xs), np.asarray(ys)], axis=1)
    if len(ring) > 3 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]  # VIA 1 closes it by its first point
    return _of_ring(outline(ring))


def _circle(shape: _Shape) -> _Drawn:
    cx, cy, radius = numbers(shape[key] for key in ("cx", "cy", "r"))
    return _of_ring(ellipse_ring(cx, cy, radius, radius))


def _ellipse(shape: _Shape) -> _Drawn:
    cx, cy, rx, ry = numbers(shape[key] for key in ("cx", "cy", "rx", "ry"))
    theta = number(shape.get("theta") or 0)  # radians, clockwise
    return _of_ring(ellipse_ring(cx, cy, rx, ry, math.degrees(theta)))


def _of_ring(ring: Ring) -> _Drawn:
    return rings_box([ring]), PolygonMask((ring,))


_DRAWN: Mapping[str, Callable[[_Shape], _Drawn]] = {
    "rect": _rect,
    "polygon": _polygon,
    "circle": _circle,
    "ellipse": _ellipse,
}
