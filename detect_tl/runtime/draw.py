"""Boxes, labels and masks on a picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.core.lettering import Colour, put_label
from detect_tl.runtime.counts import Counts

_MASK_OPACITY = 0.45
_GOLDEN_RATIO = 0.61803398875
_REGION: Colour = (255, 255, 255)


def draw_detections(image: Image, found: Detections, names: Sequence[str]) -> None:
    """Draw on `image` in place: masks, boxes, and a label with class and score for each.

    With tracking the number of the object comes first, as in "#12 person 0.87". A class has the
    same colour in every picture. Lines and letters grow with the picture. Labels lie over all
    boxes, and the best detection on top.
    """
    import cv2

    thickness, letters = _sizes(image)
    worst_first = range(len(found) - 1, -1, -1)
    colours = [class_colour(index) for index in found.class_id.tolist()]
    corners = np.rint(found.xyxy).astype(int).tolist()
    if found.mask is not None:
        for i in worst_first:
            _tint(image, found.mask[i], found.xyxy[i], colours[i])
    for i in worst_first:
        x1, y1, x2, y2 = corners[i]
        cv2.rectangle(image, (x1, y1), (x2, y2), colours[i], thickness)
    for i in worst_first:
        text = f"{_number(found, i)}{names[int(found.class_id[i])]} {found.score[i]:.2f}"
        put_label(image, text, (corners[i][0] - thickness // 2, corners[i][1]), letters, colours[i])


def draw_counts(image: Image, counts: Counts) -> None:
    """Draw lines and zones on `image` in place, with what was counted up to now.

    An arrow on each line points to where "in" is; a zone shows who is inside now.
    """
    import cv2

    height, width = image.shape[:2]
    thickness, letters = _sizes(image)
    for zone in counts.zones:
        corners = np.rint(zone.zone.on(Size(width, height))).astype(np.int32)
        cv2.polylines(image, [corners], True, _REGION, thickness, cv2.LINE_AA)
        x, y = corners[corners[:, 1].argmin()].tolist()
        put_label(image, f"{zone.zone.name} {zone.now.total()}", (x, y), letters, _REGION)
    for line in counts.lines:
        start, end = line.line.on(Size(width, height))
        middle, along = (start + end) / 2, (end - start) / np.hypot(*(end - start))
        tip = middle + np.array([along[1], -along[0]]) * 2 * letters  # to the left
        a, b, c, d = (tuple(np.rint(p).astype(int).tolist()) for p in (start, end, middle, tip))
        cv2.line(image, a, b, _REGION, thickness, cv2.LINE_AA)
        cv2.arrowedLine(image, c, d, _REGION, thickness, cv2.LINE_AA, tipLength=0.4)
        text = f"{line.line.name} in {line.entered.total()} out {line.left.total()}"
        put_label(image, text, (a[0], a[1]), letters, _REGION)


def _sizes(image: Image) -> tuple[int, int]:
    """The thickness of lines and the height of letters that suit a picture, in pixels."""
    side = sum(image.shape[:2]) / 2
    return max(round(side * 0.0028), 1), max(round(side * 0.016), 11)


def _number(found: Detections, row: int) -> str:
    if found.track_id is None or found.track_id[row] == NO_TRACK:
        return ""
    return f"#{found.track_id[row]} "


@lru_cache(maxsize=4096)
def class_colour(class_id: int) -> Colour:
    """The colour of a class: hues a golden ratio apart, so that neighbours differ most."""
    hue = (0.58 + class_id * _GOLDEN_RATIO) % 1
    saturation, value = ((0.75, 0.95), (0.9, 0.75), (0.5, 1.0))[class_id // 12 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def _tint(image: Image, mask: NDArray[np.bool_], box: NDArray[np.float32], colour: Colour) -> None:
    """Lay a colour over the mask, which ends at its box."""
    import cv2

    x1, y1 = np.floor(box[:2]).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    part, inside = image[y1:y2, x1:x2], mask[y1:y2, x1:x2]
    if not inside.any():
        return
    flat = np.full_like(part, colour)
    mixed = cv2.addWeighted(part, 1 - _MASK_OPACITY, flat, _MASK_OPACITY, 0)
    cv2.copyTo(mixed, inside.view(np.uint8), part)
    outline, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(part, outline, -1, colour, 1, cv2.LINE_AA)
