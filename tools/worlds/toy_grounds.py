"""What the toys lie on, and the scraps between them."""

from __future__ import annotations

import cv2
import numpy as np

from tools.worlds.noise import Rng, bands, fractal, grain, grid, smooth
from tools.worlds.shade import Array
from tools.worlds.shapes import Solid, box, polar, rounded
from tools.worlds.toys import hsv, plate


def ground(height: int, width: int, rng: Rng) -> Array:
    """A printed or natural surface, unlike any of the workbench's; RGB 0..1."""
    first, second = (
        np.array(hsv(rng.uniform(), rng.uniform(0.05, 0.7), rng.uniform(0.2, 0.95)), np.float32)
        for _ in range(2)
    )
    second = first + (second - first) * np.float32(rng.uniform(0.15, 1.0))
    angle, period = rng.uniform(0, np.pi), rng.uniform(20, 140)
    xs, ys = grid(height, width, angle)
    kind = rng.integers(7)
    if kind == 0:
        field = (np.mod(xs / period, 1) < 0.5).astype(np.float32)
    elif kind == 1:
        field = ((np.mod(xs / period, 1) < 0.5) ^ (np.mod(ys / period, 1) < 0.5)).astype(np.float32)
    elif kind == 2:
        field = 0.5 + 1.5 * fractal(rng, height, width, period * 2)
    elif kind == 3:
        near = np.hypot(np.mod(xs, period) - period / 2, np.mod(ys, period) - period / 2)
        field = np.clip((near - period * 0.25) / 2, 0, 1).astype(np.float32)
    elif kind == 4:
        field = xs / width + 0.5
    elif kind == 5:
        field = bands(rng, xs / (4 * period) + 0.4 * smooth(rng, height, width, period * 2))
    else:
        field = np.clip(4 * smooth(rng, height, width, period / 2), 0, 1)
    field = cv2.GaussianBlur(np.asarray(field, np.float32), (0, 0), rng.uniform(0.8, 4))
    mix = np.clip(field, 0, 1)[..., None]
    color = first * (1 - mix) + second * mix
    rough = rng.uniform(0.0, 0.08) * grain(rng, height, width, rng.uniform(0, 2))
    return np.clip(color * (1 + rough[..., None]), 0, 1.2).astype(np.float32)


def clutter(rng: Rng) -> Solid:
    """A random blob, bar or scrap that belongs to no category."""
    kind = rng.integers(3)
    if kind == 0:
        phases = rng.uniform(0, 6.28, 4)
        waves = list(enumerate(phases, 1))
        shape = polar(lambda t: 0.7 + sum(0.3 / k * np.sin(k * t + p) for k, p in waves))
    elif kind == 1:
        shape = rounded(box(2.0, rng.uniform(0.1, 0.5)), 0.1)
    else:
        shape = np.asarray(rng.uniform(-1, 1, (4, 2)), np.float32)
    return Solid("", (plate((shape,), rng),))
