"""The starter's own world: toys, signs and kitchen things in loud colours on printed grounds
(`toy_grounds.py`).

Nothing here is drawn by, or named as, anything of the workbench in `hardware.py`; the two worlds
share only the machinery that lights and photographs a solid.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from tools.worlds.noise import Rng
from tools.worlds.shapes import (
    Material,
    Outline,
    Part,
    Solid,
    box,
    circle,
    ellipse,
    path,
    polar,
    regular,
    rounded,
    star,
    stroke,
    trace,
    turned,
)

_LETTERS = "AEKRSZ"


def hsv(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """An RGB colour in 0..1 from hue, saturation and value in 0..1."""
    pixel = np.array([[[hue * 360 % 360, saturation, value]]], np.float32)
    r, g, b = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return float(r), float(g), float(b)


def paint(rng: Rng) -> Material:
    """Any colour; plastic, enamel, felt, or now and then anodised metal."""
    color = hsv(rng.uniform(), rng.uniform(0.1, 0.95), rng.uniform(0.25, 0.98))
    return Material(
        color,
        metal=float(rng.choice([0.0, 0.0, 0.0, rng.uniform(0.4, 1.0)])),
        gloss=float(rng.uniform(0.1, 0.9)),
        brushed=float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.8)])),
        speckle=float(rng.uniform(0.0, 0.12)),
    )


def plate(outlines: tuple[Outline, ...], rng: Rng) -> Part:
    """A slab of any paint, thickness and roundness."""
    return Part(
        outlines,
        paint(rng),
        height=float(rng.uniform(0.05, 0.35)),
        bevel=float(rng.uniform(0.03, 0.25)),
    )


def _topping(part: Part, outlines: tuple[Outline, ...], rng: Rng, height: float = 0.06) -> Part:
    return Part(outlines, paint(rng), height, part.lift + part.height, 0.05)


def _star(rng: Rng) -> list[Part]:
    outline = star(5, rng.uniform(0.36, 0.5))
    return [plate((rounded(outline, rng.uniform(0.02, 0.15)),), rng)]


def _burst(rng: Rng) -> list[Part]:
    points = int(rng.integers(9, 15))
    base = plate((star(points, rng.uniform(0.6, 0.78)),), rng)
    return [base, _topping(base, (circle(rng.uniform(0.25, 0.45)),), rng)]


def _heart(rng: Rng) -> list[Part]:
    t = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    shape = np.stack([x / 17, y / 17], 1).astype(np.float32)
    return [plate((shape,), rng)]


def _arrow(rng: Rng) -> list[Part]:
    w, head = rng.uniform(0.14, 0.26), rng.uniform(0.4, 0.65)
    start = rng.uniform(-0.1, 0.3)
    above = [(-1.0, -w), (start, -w), (start, -head)]
    shape = path([*above, (1.0, 0.0), *((x, -y) for x, y in reversed(above))])
    return [plate((rounded(shape, 0.06),), rng)]


def _cross(rng: Rng) -> list[Part]:
    w = rng.uniform(0.18, 0.34)
    right = [(w, -1.0), (w, -w), (1.0, -w), (1.0, w), (w, w), (w, 1.0)]
    shape = path([(-w, -1.0), *right, *((-x, -y) for x, y in right[:-1])])
    return [plate((rounded(shape, rng.uniform(0.02, 0.12)),), rng)]


def _crescent(rng: Rng) -> list[Part]:
    offset = rng.uniform(0.3, 0.5)
    t = np.linspace(0.25 * np.pi, 1.75 * np.pi, 60)
    outer = np.stack([np.cos(t), np.sin(t)], 1)
    end = outer[-1]
    start = np.arctan2(end[1], end[0] - offset)
    inner_t = np.linspace(start, -start - 2 * np.pi, 60)
    r = float(np.hypot(end[0] - offset, end[1]))
    inner = np.stack([offset + r * np.cos(inner_t), r * np.sin(inner_t)], 1)
    return [plate((np.concatenate([outer, inner]).astype(np.float32),), rng)]


def _gear(rng: Rng) -> list[Part]:
    teeth, depth = int(rng.integers(8, 18)), rng.uniform(0.12, 0.24)
    rim = polar(lambda t: 1 - depth * (1 / (1 + np.exp(-9 * np.sin(teeth * t)))), 360)
    holes = [circle(rng.uniform(0.12, 0.3))]
    if rng.random() < 0.5:
        holes += [circle(0.12, 0.52 * np.cos(a), 0.52 * np.sin(a)) for a in np.arange(5) * 1.2566]
    return [plate((rim, *holes), rng)]


def _key(rng: Rng) -> list[Part]:
    bow = rng.uniform(0.3, 0.42)
    teeth = [(0.35 + 0.16 * i, 0.1 + 0.2 * float(rng.random())) for i in range(4)]
    blade = [(-0.5, -0.1), (0.98, -0.1), (1.0, 0.1)]
    for x, depth in reversed(teeth):
        blade += [(x + 0.1, 0.1), (x + 0.1, 0.1 + depth), (x, 0.1 + depth), (x, 0.1)]
    blade.append((-0.5, 0.1))
    material = paint(rng)
    ring = Part((circle(bow, -0.62), circle(bow * 0.45, -0.7)), material, 0.1, 0.0, 0.05)
    return [Part((path(blade),), material, 0.1, 0.0, 0.05), ring]


def _mug(rng: Rng) -> list[Part]:
    material, tall = paint(rng), rng.uniform(0.7, 0.95)
    handle = Part((ellipse(0.38, 0.5, 0.6), ellipse(0.22, 0.32, 0.6)), material, 0.12, 0.0, 0.1)
    body = Part((rounded(box(1.15, 2 * tall), 0.22),), material, 0.2, 0.0, 0.3)
    stripe = _topping(body, (box(1.1, 0.25, 0, rng.uniform(-0.3, 0.4)),), rng, 0.02)
    return [handle, body, stripe] if rng.random() < 0.6 else [handle, body]


def _bottle(rng: Rng) -> list[Part]:
    neck, body = rng.uniform(0.1, 0.17), rng.uniform(0.28, 0.42)
    left = [(-neck, -1.0), (-neck, -0.5), (-body, -0.15), (-body, 1.0)]
    shape = path(left + [(-x, y) for x, y in reversed(left)])
    base = plate((rounded(shape, 0.15),), rng)
    cap = Part((box(neck * 2.4, 0.22, 0, -0.95),), paint(rng), 0.05, base.height, 0.05)
    label = _topping(base, (box(body * 1.9, 0.5, 0, 0.4),), rng, 0.02)
    return [base, cap, label]


def _leaf(rng: Rng) -> list[Part]:
    fat = rng.uniform(0.3, 0.5)
    x = np.linspace(-1, 1, 40)
    edge = fat * np.cos(x * np.pi / 2) ** 0.8 * (1 + 0.08 * np.sin(x * 40))
    shape = np.concatenate([np.stack([x, -edge], 1), np.stack([x[::-1], edge[::-1]], 1)])
    blade = plate((shape.astype(np.float32),), rng)
    vein = _topping(blade, (path([(-1, -0.02), (1, 0), (-1, 0.02)]),), rng, 0.02)
    return [blade, vein]


def _flower(rng: Rng) -> list[Part]:
    petals, deep = int(rng.integers(5, 9)), rng.uniform(0.25, 0.4)
    base = plate((polar(lambda t: 1 - deep + deep * np.abs(np.cos(petals * t / 2))),), rng)
    return [base, _topping(base, (circle(rng.uniform(0.2, 0.35)),), rng, 0.15)]


def _fish(rng: Rng) -> list[Part]:
    high = rng.uniform(0.4, 0.6)
    tail = plate((path([(0.45, 0), (1.0, -0.5), (0.85, 0), (1.0, 0.5)]),), rng)
    body = Part((ellipse(0.75, high, -0.2),), tail.material, tail.height + 0.05, 0.0, 0.3)
    eye = _topping(body, (circle(0.08, -0.6, -0.12),), rng)
    return [tail, body, eye]


def _house(rng: Rng) -> list[Part]:
    walls = plate((path([(-0.7, -0.1), (0.7, -0.1), (0.7, 0.9), (-0.7, 0.9)]),), rng)
    roof = Part((path([(-1, -0.05), (0, -0.95), (1, -0.05)]),), paint(rng), walls.height, 0.0, 0.08)
    door = _topping(walls, (box(0.35, 0.6, rng.uniform(-0.3, 0.3), 0.58),), rng, 0.03)
    return [walls, roof, door]


def _spiral(rng: Rng) -> list[Part]:
    t = np.linspace(0.6, rng.uniform(2.2, 3.2) * 2 * np.pi, 120)
    r = t / t.max() * 0.85
    line = np.stack([r * np.cos(t), r * np.sin(t)], 1).astype(np.float32)
    return [plate((stroke(line, 0.13),), rng)]


def _wave(rng: Rng) -> list[Part]:
    x = np.linspace(-0.9, 0.9, 60)
    line = np.stack([x, 0.3 * np.sin(x * rng.uniform(6, 10))], 1).astype(np.float32)
    return [plate((stroke(line, rng.uniform(0.14, 0.24)),), rng)]


def _brick(rng: Rng) -> list[Part]:
    material, columns = paint(rng), int(rng.integers(2, 5))
    w = columns * 0.22
    base = Part((box(2 * w, 0.88),), material, 0.3, 0.0, 0.05)
    studs = [
        Part((circle(0.14, -w + 0.22 + 0.44 * i, y, 24),), material, 0.1, 0.3, 0.04)
        for i in range(columns)
        for y in (-0.22, 0.22)
    ]
    return [base, *studs]


def _dumbbell(rng: Rng) -> list[Part]:
    r = rng.uniform(0.3, 0.45)
    bar = Part((box(1.4, rng.uniform(0.14, 0.24)),), paint(rng), 0.15, 0.0, 0.1)
    ends = paint(rng)
    return [bar, *(Part((circle(r, x),), ends, 0.25, 0.0, 0.2) for x in (-0.62, 0.62))]


def _mushroom(rng: Rng) -> list[Part]:
    stem = plate((rounded(box(rng.uniform(0.35, 0.6), 1.0, 0, 0.4), 0.15),), rng)
    t = np.linspace(np.pi, 2 * np.pi, 40)
    dome = np.stack([np.cos(t), 0.15 + np.sin(t) * rng.uniform(0.7, 1.0)], 1).astype(np.float32)
    cap = Part((rounded(dome, 0.1),), paint(rng), stem.height + 0.05, 0.0, 0.25)
    return [stem, cap, _topping(cap, (circle(0.13, -0.35, -0.2), circle(0.17, 0.25, -0.3)), rng)]


def _lollipop(rng: Rng) -> list[Part]:
    stick = Part((box(0.12, 1.4, 0, 0.3),), paint(rng), 0.08, 0.0, 0.05)
    disc = Part((circle(0.55, 0, -0.45),), paint(rng), 0.16, 0.0, 0.2)
    return [stick, disc, _topping(disc, (turned(box(0.9, 0.14), 0.6, 0, -0.45),), rng, 0.02)]


def _pentagon(rng: Rng) -> list[Part]:
    base = plate((rounded(regular(5), 0.08),), rng)
    return [base, _topping(base, (regular(5, 0.5, np.pi),), rng)]


def _triangle(rng: Rng) -> list[Part]:
    outer = rounded(regular(3, 1.0, -np.pi / 2), 0.12)
    return [plate((outer, regular(3, rng.uniform(0.35, 0.55), -np.pi / 2)), rng)]


def _domino(rng: Rng) -> list[Part]:
    base = plate((rounded(box(1.0, 2.0), 0.12),), rng)
    dots = paint(rng)
    top = base.height
    spots = [(float(rng.choice([-0.25, 0, 0.25])), y) for y in (-0.7, -0.3, 0.3, 0.7)]
    pips = [Part((circle(0.12, x, y, 20),), dots, 0.02, top, 0.03) for x, y in spots]
    return [base, Part((box(0.9, 0.06),), dots, 0.02, top, 0.02), *pips]


def _letter(glyph: str) -> Callable[[Rng], list[Part]]:
    def build(rng: Rng) -> list[Part]:
        canvas = np.zeros((260, 260), np.uint8)
        font = cv2.FONT_HERSHEY_SIMPLEX
        thick = int(rng.integers(22, 46))
        (w, h), _ = cv2.getTextSize(glyph, font, 7.0, thick)
        cv2.putText(canvas, glyph, (130 - w // 2, 130 + h // 2), font, 7.0, 255, thick)
        outlines = [(o - 130) / np.float32(110) for o in trace(canvas)]
        return [plate(tuple(outlines), rng)]

    return build


TOYS: dict[str, Callable[[Rng], list[Part]]] = {
    "star": _star,
    "burst": _burst,
    "heart": _heart,
    "arrow": _arrow,
    "cross": _cross,
    "crescent": _crescent,
    "gear": _gear,
    "key": _key,
    "mug": _mug,
    "bottle": _bottle,
    "leaf": _leaf,
    "flower": _flower,
    "fish": _fish,
    "house": _house,
    "spiral": _spiral,
    "wave": _wave,
    "brick": _brick,
    "dumbbell": _dumbbell,
    "mushroom": _mushroom,
    "lollipop": _lollipop,
    "pentagon": _pentagon,
    "triangle": _triangle,
    "domino": _domino,
    **{f"letter-{glyph}": _letter(glyph) for glyph in _LETTERS},
}
"""Builders of one random toy each, by category, in the order of the class ids."""


def toy(name: str, rng: Rng) -> Solid:
    """A random member of a category."""
    return Solid(name, tuple(TOYS[name](rng)))
