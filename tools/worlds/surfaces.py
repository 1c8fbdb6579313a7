"""What the workbench is made of: wood, cloth, concrete, steel, card, a cutting mat, pegboard.

Each gives an RGB canvas in 0..1 (before light) of shape (height, width, 3).
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from tools.worlds.noise import Rng, bands, fractal, grain, grid, smooth, tint
from tools.worlds.shade import Array

_Color = tuple[float, float, float]


def _jitter(color: _Color, rng: Rng, spread: float = 0.05) -> Array:
    return np.clip(np.array(color) + rng.uniform(-spread, spread, 3), 0.02, 1).astype(np.float32)


def wood(height: int, width: int, rng: Rng) -> Array:
    """A board with long veins, pores and the odd knot."""
    tones: list[tuple[_Color, _Color]] = [
        ((0.42, 0.27, 0.15), (0.78, 0.58, 0.38)),
        ((0.22, 0.13, 0.08), (0.45, 0.29, 0.19)),
        ((0.62, 0.48, 0.33), (0.88, 0.76, 0.60)),
    ]
    dark, light = tones[int(rng.integers(len(tones)))]
    xs, ys = grid(height, width, rng.uniform(-0.3, 0.3) + np.pi / 2 * rng.integers(2))
    warp = 26 * fractal(rng, height, width, 260, 3)
    for _ in range(int(rng.integers(0, 3))):
        kx, ky = rng.uniform(-width / 2, width / 2), rng.uniform(-height / 2, height / 2)
        warp += 42 * np.exp(-(((xs - kx) / 90) ** 2 + ((ys - ky) / 32) ** 2))
    veins = bands(rng, ((ys + warp) / rng.uniform(180, 320)).astype(np.float32), 40)
    fibre = smooth(rng, height, width, 3, 26)
    spin = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-6, 6)), 1.1)
    fibre = cv2.warpAffine(fibre, spin, (width, height), borderMode=cv2.BORDER_REFLECT)
    field = 0.2 + 0.62 * veins + 0.1 * fibre + 0.05 * grain(rng, height, width, 0.8)
    return tint(field, _jitter(dark, rng), _jitter(light, rng))


def planks(height: int, width: int, rng: Rng) -> Array:
    """Several boards side by side with dark gaps."""
    count = int(rng.integers(2, 5))
    edges = np.linspace(0, height, count + 1).astype(int)
    seed = int(rng.integers(2**31))
    rows = []
    for top, bottom in pairwise(edges):
        # the same seed first draws the same tones; the veins are told apart by the shift
        board = wood(height, width, np.random.default_rng(seed))
        shift = int(rng.integers(height))
        row = np.roll(board, shift, 0)[top:bottom] * np.float32(rng.uniform(0.86, 1.1))
        gap = np.minimum(np.arange(bottom - top), np.arange(bottom - top)[::-1])
        rows.append(row * np.clip(0.25 + gap / 6, 0, 1).astype(np.float32)[:, None, None])
    return np.concatenate(rows)


def cloth(height: int, width: int, rng: Rng) -> Array:
    """A coarse weave with folds."""
    blue, tan, red, green = (
        (0.27, 0.33, 0.42),
        (0.55, 0.5, 0.42),
        (0.36, 0.2, 0.2),
        (0.3, 0.36, 0.29),
    )
    colors: list[_Color] = [blue, tan, red, green]
    base = _jitter(colors[int(rng.integers(len(colors)))], rng)
    xs, ys = grid(height, width, rng.uniform(0, np.pi))
    period = rng.uniform(5, 8)
    warp_u = xs + 5 * smooth(rng, height, width, 160)
    warp_v = ys + 5 * smooth(rng, height, width, 160)
    over = np.sin(warp_u * 2 * np.pi / period) * np.sin(warp_v * 2 * np.pi / period)
    folds = fractal(rng, height, width, 420, 2)
    field = 0.82 + 0.14 * over + 0.07 * grain(rng, height, width, 0.7) + 0.28 * folds
    return (np.clip(field, 0.1, 1.6)[..., None] * base).astype(np.float32)


def concrete(height: int, width: int, rng: Rng) -> Array:
    """Cast grey with stains, pits and hairline cracks."""
    field = 0.55 + 0.22 * fractal(rng, height, width, 300, 6)
    field += 0.07 * grain(rng, height, width, 0.8)
    pits = smooth(rng, height, width, 7) + 0.4 * smooth(rng, height, width, 40)
    field -= 0.3 * np.clip(pits - 0.86, 0, 0.3) / 0.3
    ridge = np.abs(fractal(rng, height, width, 380, 4))
    field -= 0.25 * np.clip(1 - ridge / 0.006, 0, 1)
    dark = _jitter((0.26, 0.26, 0.25), rng, 0.03)
    return tint(field, dark, _jitter((0.74, 0.73, 0.70), rng, 0.04))


def steel(height: int, width: int, rng: Rng) -> Array:
    """A brushed, scratched bench top."""
    streaks = smooth(rng, height, width, 1.6, 160)
    field = 0.5 + 0.1 * streaks + 0.12 * fractal(rng, height, width, 420, 3)
    dark = _jitter((0.34, 0.36, 0.38), rng, 0.03)
    canvas = tint(field, dark, _jitter((0.66, 0.68, 0.7), rng, 0.03))
    for _ in range(int(rng.integers(4, 16))):
        start = rng.uniform(0, 1, 2) * [width, height]
        end = start + rng.normal(0, 160, 2)
        shade = float(rng.choice([0.75, 1.2]))
        line = np.ones((height, width), np.float32)
        points = np.round(np.stack([start, end])).astype(np.int32)
        cv2.polylines(line, [points], False, shade, 1, cv2.LINE_AA)
        canvas *= line[..., None]
    return canvas


def cardboard(height: int, width: int, rng: Rng) -> Array:
    """Brown card with the flutes showing through and flecks of fibre."""
    xs, _ = grid(height, width, rng.uniform(0, np.pi))
    flutes = np.sin(xs * 2 * np.pi / rng.uniform(14, 22))
    field = 0.6 + 0.05 * flutes + 0.12 * fractal(rng, height, width, 240, 4)
    flecks = smooth(rng, height, width, 2.2, 6)
    field += 0.06 * grain(rng, height, width, 0.9) - 0.25 * np.clip(flecks - 0.88, 0, 1)
    dark = _jitter((0.36, 0.25, 0.16), rng, 0.03)
    return tint(field, dark, _jitter((0.78, 0.62, 0.45), rng, 0.04))


def cutting_mat(height: int, width: int, rng: Rng) -> Array:
    """A self-healing mat with a printed grid and old cuts."""
    colors: list[_Color] = [(0.07, 0.3, 0.24), (0.1, 0.17, 0.32), (0.2, 0.2, 0.22)]
    base = _jitter(colors[int(rng.integers(len(colors)))], rng, 0.03)
    xs, ys = grid(height, width, rng.uniform(0, np.pi))
    period = float(rng.uniform(50, 90))
    line, bold = (
        np.minimum(*(np.abs(np.mod(axis, period * every) - period / 2) for axis in (xs, ys)))
        for every in (1, 5)
    )
    ink = np.clip(1.6 - line, 0, 1) * 0.4 + np.clip(2.8 - bold, 0, 1) * 0.4
    field = 1 + 0.12 * fractal(rng, height, width, 300, 4) + 0.06 * grain(rng, height, width, 0.8)
    canvas = field[..., None] * base
    mix = np.clip(ink, 0, 0.7)[..., None]
    return (canvas * (1 - mix) + np.array([0.75, 0.78, 0.6], np.float32) * mix).astype(np.float32)


def pegboard(height: int, width: int, rng: Rng) -> Array:
    """Hardboard with a raster of dark holes, as round as any washer's."""
    xs, ys = grid(height, width, rng.uniform(-0.4, 0.4))
    period = float(rng.uniform(90, 150))
    away = np.hypot(np.mod(xs, period) - period / 2, np.mod(ys, period) - period / 2)
    hole = np.clip(period * 0.11 - away, 0, 2) / 2
    field = 0.55 + 0.2 * fractal(rng, height, width, 200, 5) + 0.07 * grain(rng, height, width, 0.7)
    tones: list[tuple[_Color, _Color]] = [
        ((0.3, 0.2, 0.13), (0.62, 0.46, 0.33)),
        ((0.62, 0.62, 0.6), (0.86, 0.86, 0.83)),
    ]
    dark, light = tones[int(rng.integers(2))]
    canvas = tint(field, _jitter(dark, rng), _jitter(light, rng))
    return (canvas * (1 - 0.85 * hole)[..., None]).astype(np.float32)


SURFACES = (wood, planks, cloth, concrete, steel, cardboard, cutting_mat, pegboard)
