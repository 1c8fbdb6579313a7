"""One annotation of a Datumaro file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from detect_tl.core.dataset import Instance, Json
from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, mask_box, rings_box
from detect_tl.formats.ellipse import ellipse_ring
from detect_tl.formats.gather import UndeclaredClassError
from detect_tl.formats.no_area import NoAreaError
from detect_tl.formats.records import (
    number,
    numbers,
    or_none,
    outline,
    plain,
    rotated_ring,
    run_lengths,
)

_Record = Mapping[str, Any]
_Shape = tuple[Box, Mask | None]


def parse_object(record: _Record, labels: Sequence[int | None]) -> Instance:
    """Turn an annotation into an instance, in the pixels that the file declares.

    labels: the category of every label id. Raises NoAreaError for a type that is no area, and
    one of `records.UNREADABLE`, saying what is wrong, for anything that is not sound.
    """
    kind = str(record["type"])
    if kind not in _SHAPES:
        raise NoAreaError(kind)
    category = _category(record.get("label_id"), labels)
    box, mask = _SHAPES[kind](record)
    attributes: dict[str, Json] = plain(record.get("attributes"))
    iscrowd = attributes.pop("is_crowd", False) is True
    attributes.pop("rotation", None)  # drawn
    group = group_of(record)
    if group is not None:
        attributes.setdefault("group_id", group)
    if record.get("z_order"):
        attributes.setdefault("z_order", record["z_order"])
    return Instance(category, box, mask, iscrowd, or_none(attributes))


def group_of(record: _Record) -> int | None:
    """The group of an annotation; 0 stands for none."""
    group = record.get("group")
    return group if isinstance(group, int) and group else None


def _category(label: Any, labels: Sequence[int | None]) -> int:
    if label is None:
        raise UndeclaredClassError("it has no label")
    category = labels[label] if isinstance(label, int) and 0 <= label < len(labels) else None
    if category is None:
        raise UndeclaredClassError(f"label_id {label!r} is not declared")
    return category


def _bbox(record: _Record) -> _Shape:
    x, y, w, h = numbers(record["bbox"])
    box = Box.from_xywh(x, y, w, h)
    degrees = number(plain(record.get("attributes")).get("rotation", 0))  # as CVAT has it
    return _of_ring(rotated_ring(box, degrees)) if degrees % 360 else (box, None)


def _rotated_bbox(record: _Record) -> _Shape:
    cx, cy, w, h, degrees = numbers(record["points"])
    return _of_ring(rotated_ring(Box.from_cxcywh(cx, cy, w, h), degrees))


def _polygon(record: _Record) -> _Shape:
    return _of_ring(outline(np.asarray(numbers(record["points"])).reshape(-1, 2)))


def _ellipse(record: _Record) -> _Shape:
    x1, y1, x2, y2 = numbers(record["points"])
    rx, ry = abs(x2 - x1) / 2, abs(y2 - y1) / 2
    return _of_ring(ellipse_ring((x1 + x2) / 2, (y1 + y2) / 2, rx, ry))


def _mask(record: _Record) -> _Shape:
    mask = run_lengths(record["rle"])
    return mask_box(mask), mask


def _of_ring(ring: Ring) -> _Shape:
    return rings_box([ring]), PolygonMask((ring,))


_SHAPES: Mapping[str, Callable[[_Record], _Shape]] = {
    "bbox": _bbox,
    "rotated_bbox": _rotated_bbox,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "mask": _mask,
}
