"""One annotation of a COCO file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detect_tl.core.dataset import NO_ATTRIBUTES, Instance, Json
from detect_tl.core.geometry import Box, Mask, PolygonMask, mask_box
from detect_tl.formats.gather import UndeclaredClassError
from detect_tl.formats.records import run_lengths

_KNOWN = frozenset(
    "id image_id category_id bbox area segmentation iscrowd attributes ignore".split()
)


def parse_object(record: Mapping[str, Any], categories: Mapping[Any, int]) -> Instance:
    """Turn an annotation into an instance, in the pixels that the file declares.

    Raises ValueError, KeyError or TypeError, saying what is wrong with it.
    """
    number = record["category_id"]
    if number not in categories:
        raise UndeclaredClassError(f"category_id {number!r} is not declared")
    mask = _mask(record.get("segmentation"))
    bbox = record.get("bbox")
    if bbox:
        box = _box(bbox)
    elif mask is not None:
        box = mask_box(mask)
    else:
        raise ValueError("it has neither bbox nor segmentation")
    attributes = _attributes(record)
    return Instance(categories[number], box, mask, bool(record.get("iscrowd")), attributes)


def _box(bbox: Sequence[Any]) -> Box:
    if len(bbox) != 4:
        raise ValueError(f"its bbox has {len(bbox)} numbers, not 4")
    x, y, w, h = (float(v) for v in bbox)
    if not all(math.isfinite(v) for v in (x, y, w, h)):
        raise ValueError("its bbox is not finite")
    return Box(x, y, x + w, y + h)


def _mask(segmentation: Any) -> Mask | None:
    if not segmentation:
        return None
    if isinstance(segmentation, Mapping):
        return run_lengths(segmentation)
    if isinstance(segmentation[0], int | float):
        segmentation = [segmentation]
    parts = []
    for flat in segmentation:
        values = np.asarray(flat, dtype=np.float64)
        if values.ndim != 1 or values.size % 2 or not np.isfinite(values).all():
            raise ValueError("its segmentation is not a list of finite x, y")
        if values.size:
            parts.append(values.reshape(-1, 2))
    return PolygonMask(tuple(parts)) if parts else None


def _attributes(record: Mapping[str, Any]) -> Mapping[str, Json]:
    """The attributes that CVAT writes, and any key that COCO does not know (keypoints, score)."""
    given = record.get("attributes")
    found: dict[str, Json] = dict(given) if isinstance(given, Mapping) else {}
    for key in record.keys() - _KNOWN:
        found[key] = record[key]
    return found or NO_ATTRIBUTES
