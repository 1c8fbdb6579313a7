"""Lines and zones in a picture, named by the user, in pixels or in fractions of its sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import Size

Points = NDArray[np.float64]
"""(n, 2) x and y in pixels of the upright picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A line of two points or a zone of three or more, as the user gave it.

    points: (n, 2); fractions of width and height when all lie between 0 and 1, else pixels.
    """

    name: str
    points: Points

    def on(self, size: Size) -> Points:
        """In pixels of a picture; raise UsageError where it leaves the picture."""
        if (self.points <= 1).all():
            pixels: Points = self.points * np.array(size)
            return pixels
        if (self.points > np.array(size)).any():
            raise UsageError(
                f"{self.name!r} leaves the picture, which is {size.width}x{size.height}",
                hint="Give pixels of the picture, or fractions between 0 and 1.",
            )
        return self.points


def lines_of(given: Mapping[str, Sequence[float]]) -> list[Region]:
    """Lines by name, x1, y1, x2, y2 each; raise UsageError for anything else."""
    lines = [_region("line", name, values, "x1,y1,x2,y2") for name, values in given.items()]
    for line in lines:
        if len(line.points) != 2 or (line.points[0] == line.points[1]).all():
            raise UsageError(
                f"the line {line.name!r} does not have two ends",
                hint="Give its two ends: x1,y1,x2,y2.",
            )
    return lines


def zones_of(given: Mapping[str, Sequence[float]]) -> list[Region]:
    """Zones by name, x1, y1, x2, y2, x3, y3, … each; raise UsageError for anything else."""
    zones = [_region("zone", name, values, "x1,y1,x2,y2,x3,y3,…") for name, values in given.items()]
    for zone in zones:
        if len(zone.points) < 3:
            raise UsageError(
                f"the zone {zone.name!r} has fewer than three corners",
                hint="Give its corners in order: x1,y1,x2,y2,x3,y3,…",
            )
    return zones


def _region(kind: str, name: str, values: Sequence[float], form: str) -> Region:
    flat = np.asarray(values, np.float64)
    if flat.ndim != 1 or len(flat) % 2 or not np.isfinite(flat).all() or (flat < 0).any():
        raise UsageError(
            f"the {kind} {name!r} is not made of pairs of numbers, none below 0",
            hint=f"Give {form} in pixels, or in fractions between 0 and 1.",
        )
    return Region(name, flat.reshape(-1, 2))
