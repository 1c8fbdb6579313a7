"""Seeded noise fields, the raw material of every texture.

Fields are float32 of shape (height, width); "zero-mean" ones lie roughly in -1..1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Rng = np.random.Generator


def smooth(rng: Rng, height: int, width: int, cell: float, stretch: float = 1.0) -> Field:
    """Zero-mean value noise whose features are about `cell` pixels wide, `stretch` times longer."""
    rows = max(2, round(height / cell) + 2)
    columns = max(2, round(width / (cell * stretch)) + 2)
    grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)


def fractal(rng: Rng, height: int, width: int, cell: float, octaves: int = 4) -> Field:
    """Zero-mean sum of value noises, each half the size and half the height of the one before."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        if cell / 2**octave < 1.5:
            break
        total += smooth(rng, height, width, cell / 2**octave) * 0.5**octave
    return total / 1.6


def grain(rng: Rng, height: int, width: int, blur: float = 0.0) -> Field:
    """Zero-mean per-pixel noise of unit deviation, optionally softened."""
    field = rng.standard_normal((height, width), dtype=np.float32)
    if blur > 0:
        field = cv2.GaussianBlur(field, (0, 0), blur)
        field /= float(field.std()) + 1e-6
    return field


def bands(rng: Rng, values: Field, knots: int = 24) -> Field:
    """Look `values` up in a smooth random curve that repeats every 1: veins, reflections."""
    curve = rng.uniform(0, 1, knots).astype(np.float32)
    position = np.mod(values, 1.0) * knots
    low = np.floor(position).astype(np.int32) % knots
    mix = position - np.floor(position)
    mix = mix * mix * (3 - 2 * mix)
    result: Field = (curve[low] * (1 - mix) + curve[(low + 1) % knots] * mix).astype(np.float32)
    return result


def grid(height: int, width: int, angle: float = 0.0) -> tuple[Field, Field]:
    """Pixel coordinates (x, y) turned by `angle` radians about the middle."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    xs -= width / 2
    ys -= height / 2
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * xs + s * ys, c * ys - s * xs


def tint(field: Field, dark: Field, light: Field) -> Field:
    """Blend two RGB colours (0..1) by a field clipped to 0..1; shape (height, width, 3)."""
    mix = np.clip(field, 0, 1)[..., None]
    result: Field = dark * (1 - mix) + light * mix
    return result
