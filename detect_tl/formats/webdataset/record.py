"""What a shard says of one picture, as JSON:

    {"file_name": "a.jpg", "source": "cam1/a.jpg", "split": "train", "width": 640, "height": 480,
     "not_exhaustive": ["cat"], "objects": [{"category": "cat", "xyxy": [10.5, 20, 110, 220], …}]}

Coordinates are pixels of the upright picture. An object has "polygons" (flat lists of x and y) and
"holes", or "rle" as COCO has it, where it has a mask; "iscrowd" and "attributes" where it has any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from detect_tl.core.dataset import Instance, Json
from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, RleMask, ring
from detect_tl.formats.records import numbers, or_none, plain, run_lengths

OBJECTS = b'"objects"'
"""What no annotation of ours is without."""

# Sums and products of larger numbers are not finite any more.
_LARGEST = 1e100
# Of attributes; what is nested without end cannot travel to another process.
_DEEPEST = 50


def encoded(record: Mapping[str, Any]) -> bytes:
    """JSON in a line; what is no character becomes "?"."""
    try:
        return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # a text with what is no character, or a number beyond 64 bits
        text = json.dumps(record, ensure_ascii=False, default=lambda array: array.tolist())
        return text.encode("utf-8", "replace")


def object_record(item: Instance, name: str) -> dict[str, Any]:
    """An object of the class `name`, with all that the model holds of it."""
    record: dict[str, Any] = {"category": name, "xyxy": list(map(float, item.box))}
    if isinstance(item.mask, PolygonMask):
        record["polygons"] = [_flat(part) for part in item.mask.parts]
        if item.mask.holes:
            record["holes"] = [_flat(hole) for hole in item.mask.holes]
    elif item.mask is not None:
        size = [item.mask.size.height, item.mask.size.width]
        record["rle"] = {"size": size, "counts": list(item.mask.counts)}
    if item.iscrowd:
        record["iscrowd"] = True
    if item.attributes:
        record["attributes"] = dict(item.attributes)
    return record


def instance_of(record: Mapping[str, Any], category: Callable[[str], int]) -> Instance:
    """The object that a record describes; category: the id of a name.

    Raises one of `records.UNREADABLE` for a record that is none.
    """
    box = record["xyxy"]
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("its box is not a list of 4 numbers")
    corners, mask = Box(*numbers(box)), _mask(record)
    attributes: Mapping[str, Json] = or_none(plain(record.get("attributes")))
    if _is_deeper(attributes, _DEEPEST):
        raise ValueError(f"its attributes are nested more than {_DEEPEST} deep")
    name = record["category"]
    if not isinstance(name, str) or not name.strip():
        raise ValueError("its category has no name")
    return Instance(category(name), corners, mask, bool(record.get("iscrowd")), attributes)


def _is_deeper(value: Any, most: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list):
        return False
    return most == 0 or any(_is_deeper(each, most - 1) for each in inner)


def _mask(record: Mapping[str, Any]) -> Mask | None:
    if "rle" in record:
        mask: RleMask = run_lengths(record["rle"])
        return mask
    if "polygons" not in record:
        return None
    return PolygonMask(_rings(record["polygons"]), _rings(record.get("holes", [])))


def _rings(values: Any) -> tuple[Ring, ...]:
    if not isinstance(values, list):
        raise TypeError("its outlines are no list")
    return tuple(_ring(value) for value in values)


def _ring(values: Sequence[Any]) -> Ring:
    found = ring(np.asarray(values, dtype=np.float64))
    if not (np.abs(found) < _LARGEST).all():
        raise ValueError("its outline has a number that is not finite")
    return found


def _flat(points: Ring) -> Any:
    return np.ascontiguousarray(points, dtype=np.float64).reshape(-1)
