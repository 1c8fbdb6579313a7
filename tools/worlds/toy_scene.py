"""Pictures of the toy world with their boxes, in YOLO layout."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

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
from tools.worlds.toy_grounds import clutter, ground
from tools.worlds.toys import TOYS, toy

_LEAST_SHOWN = 0.3
_LEAST_PIXELS = 40


def toy_picture(seed: int, index: int, size: int) -> tuple[NDArray[np.uint8], list[Thing]]:
    """Picture number `index` of the world `seed`: (size, size, 3) BGR, and the toys to find."""
    rng = np.random.default_rng([seed, index])
    side = size * SUPERSAMPLING
    surface = ground(side, side, rng)
    if rng.random() < 0.4:
        surface = dapple(surface, rng)
    placed = _scatter(side, rng)
    picture, things = shoot(surface, placed, random_light(rng), random_lens(rng), rng)
    return picture, [
        t for t in things if t.name and t.shown >= _LEAST_SHOWN and t.visible.sum() >= _LEAST_PIXELS
    ]


def _scatter(side: int, rng: Rng) -> list[Placed]:
    """Toys of mixed sizes that touch and overlap now and then, and some clutter."""
    names = list(TOYS)
    scale = rng.uniform(0.6, 1.5)
    spots: list[tuple[float, float, float]] = []
    placed: list[Placed] = []
    for _ in range(int(rng.integers(4, 21))):
        radius = side * 0.1 * scale * float(np.exp(rng.normal(0, 0.4)))
        spot = _free_spot(side, radius, spots, rng)
        if spot is None:
            continue
        spots.append((*spot, radius))
        solid = clutter(rng) if rng.random() < 0.18 else toy(str(rng.choice(names)), rng)
        placed.append(Placed(solid, random_pose(*spot, radius, rng)))
    return placed


def _free_spot(
    side: int, radius: float, spots: list[tuple[float, float, float]], rng: Rng
) -> tuple[float, float] | None:
    allowed = rng.choice([1.0, 0.85, 0.55])
    for _ in range(12):
        x, y = (float(v) for v in rng.uniform(-0.02, 1.02, 2) * side)
        if all(np.hypot(x - a, y - b) > allowed * (radius + r) * 0.9 for a, b, r in spots):
            return x, y
    return None


def random_pose(x: float, y: float, radius: float, rng: Rng) -> Pose:
    """Any turn, either side up, tilted up to about 55 degrees."""
    return Pose(
        x,
        y,
        radius,
        turn=float(rng.uniform(0, 2 * np.pi)),
        squash=float(1 - 0.42 * rng.random() ** 2),
        lean=float(rng.uniform(0, 2 * np.pi)),
        mirror=False,
    )


def yolo_lines(things: list[Thing], size: int) -> list[str]:
    """One `class cx cy w h` line per toy, of its visible extent."""
    classes = {name: number for number, name in enumerate(TOYS)}
    lines = []
    for thing in things:
        x, y, w, h = cv2.boundingRect(thing.visible.astype(np.uint8))
        values = ((x + w / 2) / size, (y + h / 2) / size, w / size, h / size)
        lines.append(" ".join([str(classes[thing.name]), *(f"{v:.5f}" for v in values)]))
    return lines
