"""One <object> of Pascal VOC, in the dialects of the tools that write it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Instance, Json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, ring, rings_box
from detect_tl.formats.finite import refuse_far
from detect_tl.formats.voc.write import CORNERS, CROWD, FLAGS
from detect_tl.formats.xml import lines_of, number_of, text_of

_YES = ("1", "true", "yes")


def read_objects(
    root: Element, path: Path, index: CategoryIndex, report: Report
) -> Iterator[Instance]:
    """The objects of a file; one that cannot be read is counted, and named with its line."""
    for place, element in enumerate(root.findall("object")):
        try:
            found = _object(element, index)
        except ValueError as error:
            report.lost["objects-unreadable"] += 1
            line = lines_of(path, "object")[place]
            report.add("voc.bad-object", "error", f"the object is lost: {error}", path, line)
            continue
        parts = len(element.findall("part"))
        if parts:
            report.lost["object-parts"] += parts
        yield found


def _object(element: Element, index: CategoryIndex) -> Instance:
    """Raises ValueError for one without a name or a box, or with a number that is none."""
    name = text_of(element, "name")
    if not name:
        raise ValueError("it has no <name>")
    outline = _rotated(element) or _polygon(element)
    corners = element.find("bndbox")
    if corners is not None:
        box = Box(*(number_of(corners, tag) for tag in CORNERS))
    elif isinstance(outline, PolygonMask):
        box = rings_box(outline.parts)
    else:
        raise ValueError("it has no <bndbox>")
    attributes = _attributes(element)
    crowd = attributes.pop(CROWD, None)
    return Instance(index.add(name), box, outline, crowd is not None, attributes or NO_ATTRIBUTES)


def _rotated(element: Element) -> PolygonMask | None:
    """The turned box of roLabelImg: centre, size, and an angle in radians, clockwise."""
    turned = element.find("robndbox")
    if turned is None:
        return None
    cx, cy, w, h, angle = (number_of(turned, tag) for tag in ("cx", "cy", "w", "h", "angle"))
    refuse_far(np.asarray([cx, cy, w, h, angle]))
    corners = np.asarray([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    placed: Ring = corners @ np.asarray([[cos, sin], [-sin, cos]]) + (cx, cy)
    return PolygonMask((placed,))


def _polygon(element: Element) -> Mask | None:
    """Roboflow adds <polygon><x1/><y1/><x2/><y2/>…</polygon> to the box."""
    outline = element.find("polygon")
    if outline is None:
        return None
    values: list[float] = []
    while outline.find(f"x{len(values) // 2 + 1}") is not None:
        place = len(values) // 2 + 1
        values += number_of(outline, f"x{place}"), number_of(outline, f"y{place}")
    return PolygonMask((ring(values),)) if len(values) >= 6 else None


def _attributes(element: Element) -> dict[str, Json]:
    """What differs from the ordinary: flags that are set, a pose, CVAT's own attributes."""
    found: dict[str, Json] = {
        flag: True for flag in FLAGS if text_of(element, flag, "0") not in ("0", "")
    }
    pose = text_of(element, "pose")
    if pose and pose != "Unspecified":
        found["pose"] = pose
    for attribute in element.iterfind("attributes/attribute"):
        name, value = text_of(attribute, "name"), text_of(attribute, "value")
        if name != CROWD or value.casefold() in _YES:
            found[name] = value
    return found
