"""From objects to the elements of CVAT, and the types of their attributes."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import orjson
from numpy.typing import NDArray

from detect_tl.core.dataset import Dataset, Instance, Json, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    rings_box,
    rle_to_bitmap,
)
from detect_tl.core.masks import draw_mask
from detect_tl.formats import finite
from detect_tl.formats.cvat.objects import CROWD, ORDINARY_SOURCE
from detect_tl.formats.finite import is_finite
from detect_tl.formats.records import bitmap_box
from detect_tl.formats.xml import LINE_ENDS

OBJECT_LOSSES = {
    "cvat-attribute-types": "an attribute has one type per label; a value that is neither text,"
    " number nor flag, or of another type than the others, is written as text",
    "cvat-boxes": "an outline has no box beside it; one that disagrees with its outline is lost",
    "cvat-characters": "control characters, which XML cannot hold, are written as U+FFFD",
    "cvat-crowd-attributes": f"an attribute called {CROWD} is how CVAT marks crowds; one that an"
    " object has of its own gives way to that",
    "cvat-holes": "polygons have no holes; such a mask and its box become those of its pixels",
    "cvat-not-finite": finite.LOSS,
    "cvat-outlines": "a mask without area cannot be drawn; its box is kept",
}

# All that XML 1.0 allows.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SOURCES = frozenset({"auto", "semi-auto", "file", "consensus"})
_SAME_BOX = 0.01

Element = tuple[str, str]
"""The tag of a shape, and the XML attributes that say where it is."""


@dataclass(frozen=True, slots=True)
class AttributeType:
    """An attribute as CVAT declares it. values: of a number, its least, its most and its step."""

    name: str
    kind: str
    values: tuple[str, ...]


class Objects:
    """Writes the objects of a data set; what cannot be written is counted in `report.lost`."""

    def __init__(self, dataset: Dataset, report: Report) -> None:
        self._report = report
        self._cleaned: dict[str, str] = {}
        self.names = [self._clean(name) for name in dataset.names]
        seen: dict[tuple[int, str], list[Json]] = defaultdict(list)
        group = 0
        for sample in dataset.samples:
            for item, native, others in _described(sample):
                group = max(group, int(native.get("group_id", 0)))
                for name, value in others.items():
                    seen[item.category, name].append(value)
        self._types = {key: _type_of(self._clean(key[1]), seen[key]) for key in sorted(seen)}
        self._unused_groups = itertools.count(group + 1)

    def types_of(self, category: int) -> list[AttributeType]:
        """The attributes that the objects of a class have."""
        return [found for (owner, _), found in self._types.items() if owner == category]

    def quoted(self, text: str) -> str:
        """The value of an XML attribute, in its quotes."""
        return quoteattr(self._clean(text), LINE_ENDS)

    def lines(self, sample: Sample) -> Iterator[str]:
        """The elements of the objects of an image, line by line."""
        for item, native, others in _described(sample):
            if not is_finite(item):
                self._report.lost["cvat-not-finite"] += 1
                continue
            if CROWD in item.attributes:
                self._report.lost["cvat-crowd-attributes"] += 1
            elements = _elements(item, sample.size, self._report)
            if len(elements) > 1:
                native["group_id"] = str(next(self._unused_groups))
            values = {"source": ORDINARY_SOURCE, "occluded": "0", "z_order": "0", **native}
            flags = " ".join(f'{key}="{value}"' for key, value in values.items())
            label = quoteattr(self.names[item.category], LINE_ENDS)
            attributes = [self._attribute(item.category, *pair) for pair in others.items()]
            for tag, place in elements:
                yield f"<{tag} label={label} {flags} {place}>"
                yield from (f"  {line}" for line in attributes)
                yield f"</{tag}>"

    def _attribute(self, category: int, name: str, value: Json) -> str:
        if isinstance(value, str):
            text = value
        else:
            text = repr(value) if _kind(value) == "number" else _as_json(value)
            if self._types[category, name].kind == "text":
                self._report.lost["cvat-attribute-types"] += 1
        return (
            f"<attribute name={self.quoted(name)}>"
            f"{escape(self._clean(text), LINE_ENDS)}</attribute>"
        )

    def _clean(self, text: str) -> str:
        if text not in self._cleaned:
            self._cleaned[text], count = _NOT_XML.subn("\ufffd", text)
            if count:
                self._report.lost["cvat-characters"] += count
        return self._cleaned[text]


def _described(sample: Sample) -> Iterator[tuple[Instance, dict[str, str], dict[str, Json]]]:
    """Each object with the attributes for which CVAT has a place, as it writes them, and others."""
    groups = Counter(
        (item.category, item.attributes.get("group_id"))
        for item in sample.instances
        if _parts(item) and type(item.attributes.get("group_id")) is int
    )
    for item in sample.instances:
        given = item.attributes
        native: dict[str, str] = {}
        if given.get("occluded") is True:
            native["occluded"] = "1"
        if given.get("source") in _SOURCES:
            native["source"] = str(given["source"])
        if _is_count(given.get("z_order")):
            native["z_order"] = str(given["z_order"])
        # Outlines of one class and one group are one object, here as in CVAT's own COCO.
        alone = len(_parts(item)) <= 1 and groups[item.category, given.get("group_id")] <= 1
        if _is_count(given.get("group_id")) and alone:
            native["group_id"] = str(given["group_id"])
        others = {k: v for k, v in given.items() if k not in native and k != CROWD}
        yield item, native, {**others, CROWD: True} if item.iscrowd else others


def _is_count(value: Json) -> bool:
    return type(value) is int and 0 < value < 2**31


def _parts(item: Instance) -> tuple[Ring, ...]:
    """The parts of a mask that is written as polygons."""
    if not isinstance(item.mask, PolygonMask) or item.mask.holes:
        return ()
    return tuple(part for part in item.mask.parts if len(part) >= 3)


def _type_of(name: str, values: Sequence[Json]) -> AttributeType:
    kinds = {_kind(value) for value in values}
    if kinds == {"checkbox"}:
        return AttributeType(name, "checkbox", ("false", "true"))
    if kinds == {"number"}:
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        step = "1" if all(isinstance(value, int) for value in values) else "0.01"
        bounds = math.floor(min(0.0, *numbers)), math.ceil(max(1.0, *numbers))
        return AttributeType(name, "number", (*map(str, bounds), step))
    return AttributeType(name, "text", ("",))


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "checkbox"
    if isinstance(value, int | float) and abs(value) < 1e99:
        return "number"
    return "text"


def _as_json(value: Json) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _elements(item: Instance, size: Size, report: Report) -> list[Element]:
    """The shapes of an object: a box, an outline for each of its parts, or a mask of pixels."""
    if item.mask is None:
        return [("box", _rectangle(item.box))]
    parts = _parts(item)
    if parts:
        _compare(rings_box(parts), item.box, report)
        return [("polygon", _points(part)) for part in parts]
    try:
        bitmap = _bitmap(item.mask, size, report)
        box = bitmap_box(bitmap, 0, 0)
    except ValueError:
        report.lost["cvat-outlines"] += 1
        return [("box", _rectangle(item.box))]
    if not isinstance(item.mask, PolygonMask):
        _compare(box, item.box, report)
    return [("mask", _run_lengths(bitmap, box))]


def _bitmap(mask: Mask, size: Size, report: Report) -> NDArray[np.uint8]:
    """Raises ValueError for run lengths that do not add up."""
    if isinstance(mask, RleMask):
        return rle_to_bitmap(mask)
    if mask.holes:
        report.lost["cvat-holes"] += len(mask.holes)
    return draw_mask(mask, size)


def _compare(drawn: Box, given: Box, report: Report) -> None:
    if any(abs(a - b) > _SAME_BOX for a, b in zip(drawn, given, strict=True)):
        report.lost["cvat-boxes"] += 1


def _rectangle(box: Box) -> str:
    corners = zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True)
    return " ".join(f'{name}="{float(value)!r}"' for name, value in corners)


def _points(part: Ring) -> str:
    points = ";".join(f"{x!r},{y!r}" for x, y in part.tolist())
    return f'points="{points}"'


def _run_lengths(bitmap: NDArray[np.uint8], box: Box) -> str:
    """The runs along the rows of the smallest rectangle around the pixels, background first."""
    x1, y1, x2, y2 = map(int, box)
    flat = bitmap[y1:y2, x1:x2].reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    text = ", ".join(map(str, [0, *runs] if flat[0] else runs))
    return f'rle="{text}" left="{x1}" top="{y1}" width="{x2 - x1}" height="{y2 - y1}"'
