"""What no file of numbers can hold: coordinates that are none."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import Instance
from detect_tl.core.findings import Report
from detect_tl.core.geometry import PolygonMask

# Pixels. No image is as large, and what is computed of larger numbers overflows.
FARTHEST = 1e9

LOSS = "an object with a coordinate that is no finite number is left out"


def refuse_far(points: NDArray[np.float64]) -> None:
    """Raise ValueError when a number is none, or lies beyond any image."""
    if not np.isfinite(points).all():
        raise ValueError("its points are not finite")
    worst = float(np.abs(points).max(initial=0))
    if worst > FARTHEST:
        raise ValueError(f"a point is {worst:.3g} pixels away")


def finite_only(items: Iterable[Instance], loss: str, report: Report) -> list[Instance]:
    """The objects whose coordinates are all finite; the others are counted in `lost[loss]`."""
    found = list(items)
    kept = [item for item in found if is_finite(item)]
    if len(kept) < len(found):
        report.lost[loss] += len(found) - len(kept)
    return kept


def is_finite(item: Instance) -> bool:
    """Whether all coordinates of an object are numbers."""
    mask = item.mask
    rings = (*mask.parts, *mask.holes) if isinstance(mask, PolygonMask) else ()
    return all(map(math.isfinite, item.box)) and all(np.isfinite(ring).all() for ring in rings)
