"""One shape of LabelMe: a polygon, a rectangle straight or turned, a circle, or a bitmap."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from detect_tl.core.dataset import NO_ATTRIBUTES, Json
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    bitmap_to_rle,
    mask_box,
    rings_box,
)
from detect_tl.formats.ellipse import ellipse_ring
from detect_tl.formats.finite import refuse_far
from detect_tl.formats.label_image import MOST_PIXELS, read_label_image

# Keys that our writer adds to a shape. LabelMe does not know them, and keeps them.
ATTRIBUTES, CROWD = "attributes", "iscrowd"

# What LabelMe's own converters want in the first two lines of labels.txt, as numbers -1 and 0.
LABELS_HEAD = ("__ignore__", "_background_")

NOT_OBJECTS = frozenset({"point", "points", "line", "linestrip"})
# Four corners: LabelMe 6, and X-AnyLabeling, which also writes plain rectangles like that.
_TURNED = frozenset({"oriented_rectangle", "rotation"})


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a file.

    mask: None for a plain box. group: what joins it to others of its label; None for nothing.
    """

    label: str
    box: Box
    mask: Mask | None
    group: Json
    iscrowd: bool
    attributes: Mapping[str, Json]


def has_area(points: Ring) -> bool:
    """Whether an outline is more than a point or a line, which a stray click leaves behind."""
    return len(points) >= 3 and int(np.linalg.matrix_rank(points - points[0])) == 2


def parse_shape(shape: Mapping[str, Any], kind: str, size: Size) -> Shape:
    """Read a shape of type `kind` on an image of `size` pixels.

    Raises ValueError, TypeError, KeyError or AttributeError for a damaged one.
    """
    points = np.asarray(shape["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("its points are not a list of finite [x, y]")
    refuse_far(points)
    label = str(shape["label"]).strip()
    if not label:
        raise ValueError("its label is empty")
    mask = _mask(shape, kind, points, size)
    box = rings_box([points]) if mask is None else mask_box(mask)
    group = shape.get("group_id")
    attributes = _attributes(shape, group)
    return Shape(label, box, mask, group, bool(shape.get(CROWD)), attributes)


def _mask(shape: Mapping[str, Any], kind: str, points: Ring, size: Size) -> Mask | None:
    if kind == "polygon":
        return PolygonMask((points,))
    if kind in _TURNED:
        if len(points) != 4:
            raise ValueError(f"a turned rectangle needs 4 points, it has {len(points)}")
        return PolygonMask((points,))
    if kind == "circle":
        return PolygonMask((_circle(points),))
    if kind == "mask":
        return _bitmap(str(shape["mask"]), points, size)
    if kind != "rectangle":
        raise ValueError(f"unknown shape_type {kind!r}")
    if len(points) < 2:
        raise ValueError("a rectangle needs 2 points, it has 1")
    return None


def _circle(points: Ring) -> Ring:
    """A circle is stored as its centre and one point on it."""
    if len(points) != 2:
        raise ValueError(f"a circle needs 2 points, it has {len(points)}")
    (cx, cy), (px, py) = points.tolist()
    radius = math.hypot(px - cx, py - cy)
    # A stray click leaves a circle without a radius, which is told as a shape without an area.
    return ellipse_ring(cx, cy, radius, radius) if radius else points


def _bitmap(encoded: str, corners: Ring, size: Size) -> RleMask:
    """A mask is stored as a PNG of the part of the image between its two corners."""
    if size.width * size.height > MOST_PIXELS:
        raise ValueError(f"a mask on {size.width}x{size.height} pixels is refused")
    try:
        patch = read_label_image(base64.b64decode(encoded, validate=True)).values != 0
    except DataError as error:
        raise ValueError(error.message) from None
    left, top = np.rint(corners.min(axis=0)).astype(int).tolist()
    height, width = patch.shape
    if left < 0 or top < 0 or left + width > size.width or top + height > size.height:
        raise ValueError("its mask leaves the image")
    whole = np.zeros((size.height, size.width), np.uint8)
    whole[top : top + height, left : left + width] = patch
    if not patch.any():
        raise ValueError("its mask is empty")
    return bitmap_to_rle(whole)


def _attributes(shape: Mapping[str, Any], group: Json) -> Mapping[str, Json]:
    """Flags that are set, the description, the group, and what our own writer put beside them.

    Beside attributes of ours a group does no more than join the parts of an object.
    """
    own = shape.get(ATTRIBUTES)
    found: dict[str, Json] = dict(own) if isinstance(own, dict) else {}
    found |= {k: v for k, v in (shape.get("flags") or {}).items() if v}
    if shape.get("description"):
        found["description"] = shape["description"]
    if group is not None and not isinstance(own, dict):
        found["group_id"] = group
    return found or NO_ATTRIBUTES
