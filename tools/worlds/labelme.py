"""What a person would draw in LabelMe around the things of a picture, as LabelMe 5.x documents."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.worlds.noise import Rng
from tools.worlds.scene import Thing

Document = dict[str, Any]
Shape = dict[str, Any]
Points = NDArray[np.float64]

_ZOOM = 4
_TOLERANCE = 0.8
_LEAST_PART = 0.08
_WHOLE = 0.985
_MOSTLY = 0.8


def document(image_name: str, width: int, height: int, things: list[Thing], rng: Rng) -> Document:
    """The annotation file of one picture, everything in order."""
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes(things, rng),
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def shapes(things: list[Thing], rng: Rng) -> list[Shape]:
    """One shape per thing, or several with one group_id where something lies across it."""
    result: list[Shape] = []
    group = 0
    for thing in things:
        parts = outlines(thing.visible)
        if len(parts) == 1:
            result.append(_whole(thing, parts[0], rng))
        else:
            result += [_shape(thing, part.tolist(), "polygon", group) for part in parts]
            group += 1
    return result


def outlines(mask: NDArray[np.bool_]) -> list[Points]:
    """Outer outlines of a mask's larger parts, largest first, in continuous pixel coordinates."""
    large = cv2.resize(mask.astype(np.float32), None, fx=_ZOOM, fy=_ZOOM)
    # a border keeps outlines that run along the frame on the frame
    large = cv2.copyMakeBorder(large, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    found, _ = cv2.findContours(
        (large >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    areas = [float(cv2.contourArea(c)) for c in found]
    keep = [
        (area, cv2.approxPolyDP(c, _TOLERANCE * _ZOOM, True))
        for area, c in zip(areas, found, strict=True)
        if area >= _LEAST_PART * sum(areas)
    ]
    keep.sort(key=lambda item: -item[0])
    return [(c.reshape(-1, 2) - 1 + 0.5) / _ZOOM for _, c in keep if len(c) >= 3]


def _whole(thing: Thing, outline: Points, rng: Rng) -> Shape:
    """A polygon; for some things in full view the quicker circle or rectangle tool."""
    low, high = outline.min(0), outline.max(0)
    middle, size = (low + high) / 2, high - low
    round_enough = abs(size[0] - size[1]) < 0.06 * size.max()
    quick = rng.random()
    if thing.shown >= _WHOLE and thing.name == "washer" and round_enough and quick < 0.7:
        edge = middle + np.array([size.mean() / 2, 0.0])
        return _shape(thing, [middle.tolist(), edge.tolist()], "circle")
    if thing.shown >= _WHOLE and thing.name == "hex-nut" and quick < 0.12:
        corners = [high.tolist(), low.tolist()] if quick < 0.06 else [low.tolist(), high.tolist()]
        return _shape(thing, corners, "rectangle")
    return _shape(thing, outline.tolist(), "polygon")


def _shape(thing: Thing, points: list[list[float]], kind: str, group: int | None = None) -> Shape:
    return {
        "label": thing.name,
        "points": [[round(x, 2), round(y, 2)] for x, y in points],
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {"occluded": True} if thing.shown < _MOSTLY else {},
        "mask": None,
    }
