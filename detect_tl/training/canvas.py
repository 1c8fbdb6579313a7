"""The size of training pictures: no larger than what they show, and smaller at the beginning.

Ultralytics trains on squares, of which a picture of 4:3 fills three quarters. A frozen or training
layer computes the grey rest too, so a canvas that fits is a quarter faster.
"""

from __future__ import annotations

import math
from operator import truediv
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from detect_tl.models.yolo import RandomPerspective
from detect_tl.training.determinism import nested


def canvas_of(dataset: Any, stride: int) -> tuple[int, int]:
    """(width, height) of the smallest canvas into which every picture of a data set fits.

    dataset: of Ultralytics; its pictures are scaled so that their longer side is `imgsz`. Sides are
    multiples of `stride`. Where some pictures are wide and others high it is a square.
    """
    heights, widths = zip(*(labels["shape"] for labels in dataset.labels), strict=True)
    longest = [max(size) for size in zip(heights, widths, strict=True)]
    shares = (max(map(truediv, sides, longest)) for sides in (widths, heights))
    width, height = (math.ceil(share * dataset.imgsz / stride) * stride for share in shares)
    return width, height


def set_canvas(dataset: Any, canvas: tuple[int, int]) -> None:
    """Let a data set of Ultralytics make pictures of this (width, height), mosaics too."""
    for transform in nested(dataset.transforms):
        if isinstance(transform, RandomPerspective):
            transform.size = canvas


def shrunk(images: Tensor, share: float, stride: int) -> Tensor:
    """Pictures whose sides are `share` of what they were, and whole multiples of `stride`.

    images: (N, 3, H, W) of floats. Sides are rounded up, so shapes may change by a little.
    """
    if share >= 1:
        return images
    height, width = (math.ceil(side * share / stride) * stride for side in images.shape[2:])
    return interpolate(images, (height, width), mode="bilinear", antialias=True)
