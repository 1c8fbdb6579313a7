"""One region of Label Studio: a shape, its label, and what else was said of it.

Coordinates are per cent of the image as its browser shows it. The image can be turned while it is
being labelled (`image_rotation`); coordinates are stored as if it had not been. A rectangle is
turned about its own top left corner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, Size, rings_box
from detect_tl.core.objects import Json
from detect_tl.formats.ellipse import ellipse_ring
from detect_tl.formats.label_studio.rle import decode_brush
from detect_tl.formats.no_area import NoAreaError
from detect_tl.formats.records import label_of, number, numbers, outline, plain, size_of

# Where our own writer keeps what a region cannot say otherwise: Label Studio keeps `meta`.
META, ATTRIBUTES, CROWD = "meta", "attributes", "iscrowd"

_LABELS = "labels"
_RECTANGLE = frozenset({"x", "y", "width", "height"})
_GEOMETRY = _RECTANGLE | {"rotation", "points", "closed", "radiusX", "radiusY", "rle", "format"}

Part = Mapping[str, Any]
_Drawn = tuple[Box, Mask | None]


@dataclass(frozen=True, slots=True)
class Region:
    """A region with an area, in the pixels of the size that its image is said to have.

    labels: one or, where the project allows it, several.
    """

    labels: tuple[str, ...]
    box: Box
    mask: Mask | None
    iscrowd: bool
    attributes: Mapping[str, Json]


def regions_of(result: Sequence[Any]) -> list[list[Part]]:
    """The parts of every region: its shape, its label and its choices are records of one id."""
    found: dict[object, list[Part]] = {}
    for place, part in enumerate(result):
        record = part if isinstance(part, dict) else {}
        name = record.get("id")
        found.setdefault(name if isinstance(name, str | int) else (place,), []).append(record)
    return list(found.values())


def has_shape(parts: Sequence[Part]) -> bool:
    return any(_kind(part) for part in parts)


def size_in(result: Sequence[Any]) -> Size | None:
    """The size of the image that the regions were drawn on; None when none gives any."""
    for part in result:
        if isinstance(part, dict):
            size = size_of(part.get("original_width"), part.get("original_height"))
            if size is not None and min(size) > 0:
                return size
    return None


def parse_region(parts: Sequence[Part], size: Size) -> Region:
    """Put the parts of a region together, on an image of `size` pixels.

    Raises NoAreaError for what is no shape with an area, and one of `records.UNREADABLE`, saying
    what is wrong, for anything that is not sound.
    """
    shape = next((part for part in parts if _kind(part)), None)
    if shape is None:
        raise NoAreaError(_type_of(parts[0]))
    box, mask = _DRAWN[_kind(shape)](shape["value"], size)
    labels = tuple(dict.fromkeys(_labels(parts)))
    if not labels:
        raise ValueError("it has no label")
    meta = plain(shape.get(META))
    own = meta.pop(ATTRIBUTES, None)
    crowd = meta.pop(CROWD, False) is True
    attributes = {**dict(_attributes(parts)), **meta, **plain(own)}
    if len(labels) > 1:
        attributes.setdefault(_LABELS, list(labels))
    return Region(labels, box, mask, crowd, attributes)


def _type_of(part: Part) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) and kind else "unknown"


def _kind(part: Part) -> str:
    """The kind of shape that a part has, "" for none; also the choices of a region repeat it."""
    value = part.get("value")
    if not isinstance(value, dict):
        return ""
    for key, kind in (("rle", "brush"), ("radiusX", "ellipse"), ("points", "polygon")):
        if key in value:
            return kind
    return "rectangle" if value.keys() >= _RECTANGLE else ""


def _labels(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        value = part.get("value")
        for key, names in value.items() if isinstance(value, dict) else ():
            if key.endswith(_LABELS) and isinstance(names, list):
                yield from map(label_of, names)


def _attributes(parts: Sequence[Part]) -> Iterator[tuple[str, Json]]:
    """The score, and what was chosen or written for the region, by the name of its control."""
    for part in parts:
        score = part.get("score")
        if isinstance(score, int | float):
            yield "score", score
        value = part.get("value")
        for key, said in value.items() if isinstance(value, dict) else ():
            if key not in _GEOMETRY and not key.endswith(_LABELS) and said is not None:
                one = said[0] if isinstance(said, list) and len(said) == 1 else said
                yield str(part.get("from_name") or key), one


def _rectangle(value: Part, size: Size) -> _Drawn:
    x, y, w, h = _pixels(numbers(value[k] for k in ("x", "y", "width", "height")), size)
    degrees = number(value.get("rotation") or 0)
    box = Box(min(x, x + w), min(y, y + h), max(x, x + w), max(y, y + h))
    if not degrees % 360:
        return box, None
    angle = math.radians(degrees)
    turn = np.asarray([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = np.asarray([[0, 0], [w, 0], [w, h], [0, h]])
    return _of_ring(corners @ turn + [x, y])


def _polygon(value: Part, size: Size) -> _Drawn:
    flat = numbers(v for point in value["points"] for v in _pair(point))
    return _of_ring(outline(np.asarray(_pixels(flat, size)).reshape(-1, 2)))


def _pair(point: Any) -> Sequence[Any]:
    if not isinstance(point, list) or len(point) != 2:
        raise ValueError("its points are not a list of [x, y]")
    return point


def _ellipse(value: Part, size: Size) -> _Drawn:
    percent = numbers(value[key] for key in ("x", "y", "radiusX", "radiusY"))
    x, y, rx, ry = _pixels(percent, size)
    return _of_ring(ellipse_ring(x, y, rx, ry, number(value.get("rotation") or 0)))


def _pixels(percent: Sequence[float], size: Size) -> list[float]:
    """x and y in turn, from per cent of the image to pixels."""
    w, h = float(size.width), float(size.height)
    return [v * (h if place % 2 else w) / 100 for place, v in enumerate(percent)]


def _brush(value: Part, size: Size) -> _Drawn:
    return decode_brush(value["rle"], size)


def _of_ring(ring: Ring) -> _Drawn:
    return rings_box([ring]), PolygonMask((ring,))


_DRAWN: Mapping[str, Callable[[Part, Size], _Drawn]] = {
    "rectangle": _rectangle,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "brush": _brush,
}
