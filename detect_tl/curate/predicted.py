"""From what a model says of images to annotations that a person corrects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import Instance, Sample
from detect_tl.core.detections import Detections
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Ring, ring_area, rings_box
from detect_tl.core.masks import outline

# Pixels that an outline may lie beside the edge of its mask, to have few corners to be moved.
_TOLERANCE = 1.0
# Decimals of coordinates, in pixels, and of scores.
_PLACES, _SCORE_PLACES = 2, 4


def predicted_sample(image: Sample, found: Detections, report: Report) -> Sample:
    """An image with the objects that a model found on it, in the split "train".

    Objects have their score as an attribute, and masks as outlines of few corners. A box without
    area, such as one of an object outside the image, is left out and counted.
    """
    items = tuple(_instances(found))
    kept = tuple(item for item in items if item.box.area > 0)
    if len(kept) < len(items):
        report.lost["predictions-without-area"] += len(items) - len(kept)
    return replace(image, instances=kept, split="train")


def _instances(found: Detections) -> Iterator[Instance]:
    for row in range(len(found)):
        mask = None if found.mask is None else corners(found.mask[row])
        corner = found.xyxy[row].astype(np.float64).round(_PLACES).tolist()
        box = rings_box(mask.parts) if mask is not None and mask.parts else Box(*corner)
        score = round(float(found.score[row]), _SCORE_PLACES)
        drawn = mask if mask is not None and mask.parts else None
        yield Instance(int(found.class_id[row]), box, drawn, attributes={"score": score})


def corners(bitmap: NDArray[np.bool_]) -> PolygonMask:
    """The outline of a mask, (height, width), with as few corners as a pixel of tolerance allows.

    By Douglas and Peucker (1973); a part too small for that keeps its exact edge.
    """
    exact = outline(bitmap)
    return PolygonMask(
        tuple(_simplified(ring) for ring in exact.parts),
        tuple(_simplified(ring) for ring in exact.holes),
    )


def _simplified(ring: Ring) -> Ring:
    import cv2

    points = ring.astype(np.float32)[:, None]
    few = cv2.approxPolyDP(points, _TOLERANCE, closed=True)[:, 0].astype(np.float64)
    return few if len(few) >= 3 and ring_area(few) > 0 else ring
