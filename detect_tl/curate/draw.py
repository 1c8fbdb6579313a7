"""Annotations on a picture: boxes, masks with their holes, crowds hatched, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import Instance, Sample
from detect_tl.core.geometry import Mask, PolygonMask, Ring, Size, rle_to_bitmap
from detect_tl.core.images import Image, read_image
from detect_tl.core.lettering import Colour, label_area, put_label
from detect_tl.core.masks import draw_mask, outline
from detect_tl.core.pages import class_bgr

_OPACITY = 0.4
_HATCH = 12  # pixels between the lines over a crowd, on a picture of middle size
_FINE = 4  # fractional bits of OpenCV's coordinates


def draw_sample(sample: Sample, names: Sequence[str], longest: int | None = None) -> Image:
    """The picture of a sample with its objects on it; raise DataError when it cannot be read.

    longest: side in pixels that it is reduced to, if it is larger; objects are drawn afterwards.
    A class has the same colour on every picture. Large objects are drawn first, so that small
    ones lie on top. Labels never cover each other; where they would, the colour must do.
    """
    import cv2

    image = read_image(sample.image)
    height, width = image.shape[:2]
    scale = min(1.0, (longest or math.inf) / max(height, width))
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    image = np.ascontiguousarray(image)
    items = sorted(sample.instances, key=lambda item: -item.box.area)
    for item in items:
        _draw(image, item, sample.size, scale)
    _label(image, items, names, scale)
    return image


def _label(image: Image, items: Sequence[Instance], names: Sequence[str], scale: float) -> None:
    """Name the objects, the large ones first; a label that would cover another is left out."""
    letters = max(round(_middle(image) * 0.022), 11)
    taken = np.zeros(image.shape[:2], np.bool_)
    for item in items:
        text = names[item.category] + (" (crowd)" if item.iscrowd else "")
        corner = round(item.box.x1 * scale), round(item.box.y1 * scale)
        x1, y1, x2, y2 = label_area(image, text, corner, letters)
        if not taken[y1:y2, x1:x2].any():
            taken[y1:y2, x1:x2] = True
            put_label(image, text, corner, letters, class_bgr(item.category))


def _middle(image: Image) -> float:
    height, width = image.shape[:2]
    return float(height + width) / 2


def _draw(image: Image, item: Instance, size: Size, scale: float) -> None:
    import cv2

    colour, thick = class_bgr(item.category), max(round(_middle(image) * 0.003), 1)
    mask = item.mask
    if mask is not None:
        inside = _inside(mask, size, image)
        _tint(image, inside & _hatched(image) if item.iscrowd else inside, colour)
        edges = [_fixed(ring, scale) for ring in _rings(mask)]
        cv2.polylines(image, edges, True, colour, thick, cv2.LINE_AA, _FINE)
    elif item.iscrowd:
        inside = np.zeros(image.shape[:2], np.bool_)
        x1, y1, x2, y2 = (max(round(v * scale), 0) for v in item.box)
        inside[y1:y2, x1:x2] = True
        _tint(image, inside & _hatched(image), colour)
    # The frame runs through the outermost pixels of the box, half a pixel inside of its edges.
    corners = np.asarray([item.box[:2], item.box[2:]])
    start, end = _fixed(corners + np.asarray([[0.5], [-0.5]]) / scale, scale).tolist()
    # Beside an outline the box only says where the annotation has it.
    line = 1 if mask is not None else thick
    cv2.rectangle(image, start, end, colour, line, cv2.LINE_AA, _FINE)


def _inside(mask: Mask, size: Size, image: Image) -> NDArray[np.bool_]:
    """(height, width) of the picture: where the mask is; nowhere for one of another size."""
    import cv2

    try:
        bitmap = draw_mask(mask, size)
    except ValueError:  # checks name it; there is no place for it here
        return np.zeros(image.shape[:2], np.bool_)
    return np.asarray(cv2.resize(bitmap, image.shape[1::-1], interpolation=cv2.INTER_AREA) > 0)


def _rings(mask: Mask) -> Sequence[Ring]:
    shape = mask if isinstance(mask, PolygonMask) else outline(rle_to_bitmap(mask))
    return [ring for ring in (*shape.parts, *shape.holes) if len(ring)]


def _fixed(points: NDArray[np.float64], scale: float) -> NDArray[np.int32]:
    """Points in OpenCV's fixed-point numbers; there, pixel centres are whole."""
    return np.rint((points * scale - 0.5) * (1 << _FINE)).astype(np.int32)


def _hatched(image: Image) -> NDArray[np.bool_]:
    """(height, width): slanted stripes."""
    step = max(round(_HATCH * _middle(image) / 640), 6)
    y, x = np.indices(image.shape[:2])
    return np.asarray((x + y) % step < step / 2)


def _tint(image: Image, inside: NDArray[np.bool_], colour: Colour) -> None:
    mixed = image[inside] * (1 - _OPACITY) + np.asarray(colour) * _OPACITY
    image[inside] = mixed.astype(np.uint8)
