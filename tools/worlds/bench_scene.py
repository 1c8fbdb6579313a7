"""Pictures of the workbench: hardware strewn on a surface, among clutter, under changing light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.worlds.hardware import HARDWARE, clutter, piece
from tools.worlds.noise import Rng
from tools.worlds.scene import (
    SUPERSAMPLING,
    Placed,
    Thing,
    dapple,
    random_lens,
    random_light,
    shoot,
)
from tools.worlds.shade import Pose
from tools.worlds.surfaces import SURFACES

LEAST_SHOWN = 0.3
"""Pieces of which less than this share is seen are not labelled: a person could not name them."""

_LEAST_PIXELS = 120


def bench_picture(
    rng: Rng, width: int, height: int, *, empty: bool = False
) -> tuple[NDArray[np.uint8], list[Thing]]:
    """One picture, (height, width, 3) BGR, and the pieces of hardware worth labelling."""
    rows, columns = height * SUPERSAMPLING, width * SUPERSAMPLING
    surface = SURFACES[int(rng.integers(len(SURFACES)))](rows, columns, rng)
    if rng.random() < 0.5:
        surface = dapple(surface, rng)
    placed = strew(columns, rows, rng, pieces=0 if empty else int(rng.integers(3, 12)))
    picture, things = shoot(surface, placed, random_light(rng), random_lens(rng), rng)
    return picture, [
        t
        for t in things
        if t.name and t.shown >= LEAST_SHOWN and int(t.visible.sum()) >= _LEAST_PIXELS
    ]


def strew(width: int, height: int, rng: Rng, pieces: int) -> list[Placed]:
    """Hardware and clutter in random poses; some of it in heaps that hide each other."""
    base = min(width, height) * float(rng.uniform(0.075, 0.13))
    heaps = [rng.uniform(0.15, 0.85, 2) * [width, height] for _ in range(2)]
    heaped = float(rng.choice([0.0, 0.25, 0.6]))
    kinds = [str(rng.choice(list(HARDWARE))) for _ in range(pieces)]
    kinds += [""] * int(rng.integers(0, 6))
    spots: list[tuple[float, float, float]] = []
    placed: list[Placed] = []
    for kind in (kinds[i] for i in rng.permutation(len(kinds))):
        radius = base * float(np.exp(rng.normal(0, 0.3)))
        radius *= 1.25 if kind in ("bracket", "wing-nut") else 1.0
        spot = _spot(width, height, radius, spots=spots, heaps=heaps, heaped=heaped, rng=rng)
        if spot is None:
            continue
        spots.append((*spot, radius))
        solid = piece(kind, rng) if kind else clutter(rng)
        placed.append(Placed(solid, lying(*spot, radius, rng)))
    return placed


def _spot(
    width: int,
    height: int,
    radius: float,
    *,
    spots: list[tuple[float, float, float]],
    heaps: list[NDArray[np.float64]],
    heaped: float,
    rng: Rng,
) -> tuple[float, float] | None:
    for _ in range(16):
        if rng.random() < heaped:
            heap = heaps[int(rng.integers(len(heaps)))]
            x, y = (float(v) for v in rng.normal(heap, radius * 1.6))
            apart = 0.55
        else:
            x, y = (float(v) for v in rng.uniform(0.0, 1.0, 2) * [width, height])
            apart = 0.95
        if all(np.hypot(x - a, y - b) > apart * (radius + r) for a, b, r in spots):
            return x, y
    return None


def lying(x: float, y: float, radius: float, rng: Rng) -> Pose:
    """Any turn; seen from above or at a slant."""
    return Pose(
        x,
        y,
        radius,
        turn=float(rng.uniform(0, 2 * np.pi)),
        squash=float(1 - 0.35 * rng.random() ** 1.5),
        lean=float(np.pi / 2 + rng.normal(0, 0.5)),
        mirror=bool(rng.random() < 0.5),
    )
