"""The objects in a mask, and whether a picture is one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.findings import Report
from detect_tl.formats.label_image import LabelImage, Region, regions
from detect_tl.formats.voc.palette import VOID, palette

# Of neighbours in a row, this share has the same value in a mask; in photos it is far lower.
_LEAST_EQUAL = 0.75
_LEAST_PIXELS = 64
# Soft edges are a few pixels wide; areas of their own value are objects.
_EDGE = 5


def unlike_a_mask(image: LabelImage) -> str:
    """Why the pixels are no numbers of objects, in words; "" when they may be."""
    values = image.values
    if any(number > VOID for number in image.colours):
        return "it is in colour"
    if values.min(initial=0) < 0:
        return "it has negative numbers"
    if values.size < _LEAST_PIXELS or values.shape[1] < 2:
        return ""  # too small to tell
    equal = float((values[:, 1:] == values[:, :-1]).mean())
    if equal < _LEAST_EQUAL:
        return f"only {equal:.0%} of its pixels equal their neighbour, as in a photo"
    return ""


def regions_of(image: LabelImage, *, single: bool, report: Report) -> list[Region]:
    """The objects of a mask, in the order of their numbers.

    single: its name says that it holds one object. Soft edges, of values between black and white,
    are cut at half, and counted.
    """
    values = image.values
    if image.colours.get(VOID) == palette()[VOID]:
        values = np.where(values == VOID, 0, values)
    kept = np.unique(values[values != 0])
    if len(kept) > 1 and (single or _has_soft_edges(values, image)):
        report.changed["masks-with-soft-edges"] += 1
        values = (values > int(kept[-1]) // 2).astype(np.int32)
    return list(regions(values))


def _has_soft_edges(values: NDArray[np.int32], image: LabelImage) -> bool:
    """Whether all grey lies along the edges of white."""
    import cv2

    white = (values == 255).astype(np.uint8)
    grey = (values > 0) & (values < 255)
    if image.colours or not white.any() or grey.sum() > white.sum():
        return False
    near = cv2.dilate(white, np.ones((_EDGE, _EDGE), np.uint8)) > 0
    return bool(near[grey].all())
