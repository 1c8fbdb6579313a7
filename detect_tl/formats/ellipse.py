"""Ellipses as polygons: most tools draw them, no detector learns them as such."""

from __future__ import annotations

import math

import numpy as np

from detect_tl.core.geometry import Ring

# As many chords as keep an ellipse within about 0.1 pixels of its outline, between these two.
_LEAST_CHORDS, _MOST_CHORDS = 32, 360


def ellipse_ring(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> Ring:
    """(n, 2) vertices on an ellipse, pixels; turned about its centre, clockwise on the screen.

    Raises ValueError for a radius that is not positive.
    """
    if min(rx, ry) <= 0:
        raise ValueError(f"its radii are {rx:g} and {ry:g}")
    chords = int(min(max(7 * math.sqrt(max(rx, ry)), _LEAST_CHORDS), _MOST_CHORDS))
    angle = np.linspace(0, 2 * np.pi, chords, endpoint=False)
    along, across = rx * np.cos(angle), ry * np.sin(angle)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.stack([cx + along * cos - across * sin, cy + along * sin + across * cos], axis=1)
