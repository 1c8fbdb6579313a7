"""The workbench world's small hardware: four categories that only shape tells apart, and clutter.

Every material comes in every shape, so that colour gives no category away; some clutter is a
near miss on purpose (a square nut, a coin, a straight plate with holes, an L-shaped hex key).
"""

from __future__ import annotations

from collections.abc import Callable

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
    stroke,
    turned,
)

MATERIALS: tuple[Material, ...] = (
    Material((0.74, 0.76, 0.79), metal=0.95, gloss=0.7, brushed=0.5, speckle=0.03),
    Material((0.62, 0.65, 0.68), metal=0.8, gloss=0.35, brushed=0.2, speckle=0.08, wear=0.25),
    Material((0.83, 0.68, 0.36), metal=0.95, gloss=0.65, brushed=0.4, speckle=0.03),
    Material((0.80, 0.52, 0.38), metal=0.9, gloss=0.6, brushed=0.4, speckle=0.03, wear=0.1),
    Material((0.17, 0.17, 0.19), metal=0.5, gloss=0.45, brushed=0.1, speckle=0.06),
    Material((0.50, 0.44, 0.40), metal=0.55, gloss=0.2, brushed=0.0, speckle=0.1, wear=0.75),
    Material((0.72, 0.16, 0.13), metal=0.0, gloss=0.55, speckle=0.04, wear=0.1),
    Material((0.16, 0.32, 0.58), metal=0.0, gloss=0.5, speckle=0.04, wear=0.1),
    Material((0.85, 0.83, 0.76), metal=0.0, gloss=0.35, speckle=0.02),
)
"""Bright steel, zinc, brass, copper, black oxide, rusty iron, red and blue paint, nylon."""

_BORE = Material((0.13, 0.12, 0.12), metal=0.3, gloss=0.2, speckle=0.1)


def _material(rng: Rng) -> Material:
    return MATERIALS[int(rng.integers(len(MATERIALS)))]


def _thread(hole: float, lift: float, top: float) -> list[Part]:
    """Dark, narrowing turns inside a bore, lowest first."""
    turns = np.linspace(0.8, 0.95, 3)
    step = (top - lift) / 3
    return [
        Part((circle(hole * 1.04), circle(hole * float(k))), _BORE, step, lift + i * step, 0.03)
        for i, k in enumerate(turns)
    ]


def _hexagon(cut: float) -> Outline:
    """A hexagon of corner radius 1 whose corners a circle of radius `cut` takes off."""
    flat = np.cos(np.pi / 6)
    return polar(lambda t: np.minimum(flat / np.cos(np.mod(t, np.pi / 3) - np.pi / 6), cut), 180)


def hex_nut(rng: Rng) -> list[Part]:
    """A hexagon nut: plain, with a flange below it, or with a nylon insert."""
    material, hole = _material(rng), float(rng.uniform(0.46, 0.6))
    tall = float(rng.uniform(0.4, 0.7))
    kind = rng.choice(["plain", "plain", "flange", "insert"])
    size = 0.8 if kind == "flange" else 1.0
    body = [_hexagon(1.0) * np.float32(size), circle(hole * size)]
    chamfer = [_hexagon(0.93) * np.float32(size), circle(hole * size * 1.06)]
    parts: list[Part] = []
    if kind == "flange":
        parts.append(Part((circle(1.0), circle(hole * size)), material, 0.12, 0.0, 0.1))
    parts += _thread(hole * size, 0.1, tall * 0.85)
    parts.append(Part(tuple(body), material, tall, 0.0, 0.04))
    parts.append(Part(tuple(chamfer), material, 0.05, tall, 0.1))
    if kind == "insert":
        ring = (circle(hole * 1.28), circle(hole * 0.96))
        color = MATERIALS[int(rng.choice([7, 8]))]
        parts.append(Part(ring, color, 0.14, tall + 0.05, 0.08))
    return parts


def washer(rng: Rng) -> list[Part]:
    """A flat ring, narrow or wide; now and then split, as lock washers are."""
    material, hole = _material(rng), float(rng.uniform(0.3, 0.62))
    thick = float(rng.uniform(0.07, 0.16))
    if rng.random() < 0.2:
        gap = float(rng.uniform(0.08, 0.14))
        t = np.linspace(gap, 2 * np.pi - gap * 0.4, 90)
        outer = np.stack([np.cos(t), np.sin(t)], 1)
        hole = max(hole, 0.55)
        ring = np.concatenate([outer, hole * outer[::-1]]).astype(np.float32)
        return [Part((ring,), material, thick * 1.5, 0.0, 0.06)]
    return [Part((circle(1.0, points=96), circle(hole)), material, thick, 0.0, 0.05)]


def wing_nut(rng: Rng) -> list[Part]:
    """A threaded hub with two ears to turn it by hand."""
    material = _material(rng)
    hub, hole = float(rng.uniform(0.34, 0.42)), float(rng.uniform(0.17, 0.22))
    low, high = float(rng.uniform(-0.3, -0.16)), float(rng.uniform(0.1, 0.24))
    ear = path(
        (
            *((0.1, -0.2), (0.5, low - 0.06), (0.85, low - 0.12), (1.02, low + 0.1)),
            *((0.98, high), (0.72, high + 0.06), (0.45, 0.16), (0.1, 0.22)),
        )
    )
    ear = rounded(ear, 0.14)
    flat = ear * np.array([-1.0, 1.0], np.float32) if rng.random() < 0.5 else turned(ear, np.pi)
    wide = float(rng.uniform(0.3, 0.5))
    return [
        Part((circle(hub * 1.06), circle(hole)), material, 0.1, 0.0, 0.08),
        Part((ear,), material, wide, 0.02, 0.12),
        Part((flat,), material, wide, 0.02, 0.12),
        *_thread(hole, 0.1, 0.5),
        Part((circle(hub), circle(hole)), material, 0.55, 0.0, 0.14),
    ]


def bracket(rng: Rng) -> list[Part]:
    """An L-shaped corner plate with screw holes, sometimes with a raised rib."""
    material = _material(rng)
    w = float(rng.uniform(0.3, 0.46))
    long, short = 1.55, float(rng.uniform(1.0, 1.55))
    x, y = -0.72, -0.72
    right, bottom = x + long, y + short
    plate = path([(x, y), (right, y), (right, y + w), (x + w, y + w), (x + w, bottom), (x, bottom)])
    plate = rounded(plate, float(rng.uniform(0.03, 0.16)))
    drill = w * float(rng.uniform(0.17, 0.26))
    along = [0.55, 0.86] if rng.random() < 0.6 else [0.5, 0.7, 0.9]
    holes = [circle(drill, x + long * k, y + w / 2, 32) for k in along]
    holes += [circle(drill, x + w / 2, y + short * k, 32) for k in along if short * k > w + drill]
    thick = float(rng.uniform(0.06, 0.14))
    parts = [Part((plate, *holes), material, thick, 0.0, 0.04)]
    sinks = [Part((h * 1.0, _shrunk(h, 0.62)), _BORE, 0.02, 0.0, 0.02) for h in holes]
    if rng.random() < 0.35:
        rib = path([(x, y), (x + long, y), (x + long, y + 0.07), (x + 0.07, y + 0.07)])
        rib = np.concatenate([rib, path([(x + 0.07, y + short), (x, y + short)])])
        parts.append(Part((rib,), material, 0.22, thick, 0.03))
    return sinks + parts


def _shrunk(outline: Outline, factor: float) -> Outline:
    middle = outline.mean(0)
    return ((outline - middle) * factor + middle).astype(np.float32)


HARDWARE: dict[str, Callable[[Rng], list[Part]]] = {
    "bracket": bracket,
    "hex-nut": hex_nut,
    "washer": washer,
    "wing-nut": wing_nut,
}
"""Builders of one random piece each, by category."""


def _bolt(rng: Rng) -> list[Part]:
    material, thin = _material(rng), float(rng.uniform(0.13, 0.18))
    start, end, ridges = -0.5, 1.0, 22
    x = np.linspace(start, end, ridges * 2 + 1)
    bump = np.where(np.arange(len(x)) % 2 == 0, thin, thin * 0.84)
    top = np.stack([x, -bump], 1)
    shank = np.concatenate([top, np.stack([x[::-1], bump[::-1]], 1)]).astype(np.float32)
    head = rounded(box(0.26, thin * 4.2, -0.62), 0.05)
    facet = box(0.24, thin * 2.0, -0.62)
    return [
        Part((shank,), material, 0.18, 0.0, thin),
        Part((head,), material, 0.26, 0.0, 0.1),
        Part((facet,), material, 0.03, 0.26, 0.04),
    ]


def _screw(rng: Rng) -> list[Part]:
    material, thin = _material(rng), float(rng.uniform(0.09, 0.13))
    x = np.linspace(-0.6, 1.0, 41)
    width = thin * np.clip((1.02 - x) / 0.7, 0.02, 1) * np.where(np.arange(41) % 2 == 0, 1.0, 0.7)
    body = np.concatenate([np.stack([x, -width], 1), np.stack([x[::-1], width[::-1]], 1)])
    side = [(-0.8, -0.3), (-0.72, -0.3), (-0.5, -thin)]
    head = path(side + [(x, -y) for x, y in reversed(side)])
    return [
        Part((body.astype(np.float32),), material, 0.12, 0.0, thin),
        Part((head,), material, 0.16, 0.0, 0.12),
    ]


def _screw_head(rng: Rng) -> list[Part]:
    material = _material(rng)
    slot = turned(box(1.1, 0.2), float(rng.uniform(0, np.pi)))
    slots = [slot] if rng.random() < 0.5 else [slot, turned(slot, np.pi / 2)]
    cap = Part((circle(0.9),), material, 0.2, 0.0, 0.4)
    return [cap, *(Part((s,), _BORE, 0.01, 0.2, 0.02) for s in slots)]


def _square_nut(rng: Rng) -> list[Part]:
    material = _material(rng)
    plate = rounded(regular(4), 0.06)
    return [*_thread(0.4, 0.05, 0.3), Part((plate, circle(0.4)), material, 0.35, 0.0, 0.06)]


def _coin(rng: Rng) -> list[Part]:
    material = _material(rng)
    disc = Part((circle(1.0, points=96),), material, 0.1, 0.0, 0.05)
    rim = Part((circle(0.98, points=96), circle(0.84, points=96)), material, 0.04, 0.1, 0.05)
    face = rounded(regular(int(rng.choice([3, 5, 8])), 0.5), 0.08)
    return [disc, rim, Part((face,), material, 0.04, 0.1, 0.1)]


def _strip(rng: Rng) -> list[Part]:
    count, w = int(rng.integers(3, 6)), float(rng.uniform(0.2, 0.3))
    xs = np.linspace(-0.8, 0.8, count)
    holes = [circle(w * 0.45, float(x), 0.0, 32) for x in xs]
    return [Part((rounded(box(2.0, 2 * w), 0.1), *holes), _material(rng), 0.1, 0.0, 0.04)]


def _hex_key(rng: Rng) -> list[Part]:
    bend = [(-0.8, 0.45), (-0.8, -0.3), (-0.72, -0.4), (-0.6, -0.45), (1.0, -0.45)]
    rod = stroke(path(bend), float(rng.uniform(0.09, 0.15)))
    return [Part((rod,), _material(rng), 0.12, 0.0, 0.06)]


def _spring(rng: Rng) -> list[Part]:
    turns = int(rng.integers(6, 11))
    x = np.linspace(-0.9, 0.9, turns * 8)
    line = np.stack([x, 0.26 * np.sin(x * turns * 3.4)], 1).astype(np.float32)
    return [Part((stroke(line, 0.075),), _material(rng), 0.3, 0.05, 0.04)]


def _cable(rng: Rng) -> list[Part]:
    x = np.linspace(-2.2, 2.2, 60)
    bend = 0.6 * np.sin(x * rng.uniform(0.6, 1.4) + rng.uniform(0, 6)) + 0.2 * np.sin(x * 2.3)
    line = np.stack([x, bend], 1).astype(np.float32)
    color = MATERIALS[int(rng.choice([4, 6, 7, 8]))]
    return [Part((stroke(line, float(rng.uniform(0.07, 0.12))),), color, 0.12, 0.0, 0.05)]


def _pencil(rng: Rng) -> list[Part]:
    hue = Material((0.86, 0.63, 0.13), gloss=0.5) if rng.random() < 0.5 else _material(rng)
    wood = Material((0.82, 0.66, 0.46), gloss=0.1)
    cone = path([(1.2, -0.1), (1.62, -0.03), (1.62, 0.03), (1.2, 0.1)])
    return [
        Part((box(3.0, 0.2, -0.3),), hue, 0.14, 0.0, 0.08),
        Part((cone,), wood, 0.12, 0.0, 0.06),
        Part((path([(1.58, -0.035), (1.75, 0), (1.58, 0.035)]),), _BORE, 0.1, 0.02, 0.03),
    ]


def _shaving(rng: Rng) -> list[Part]:
    t = np.linspace(0, rng.uniform(2.0, 6.5), 50)
    r = 0.45 + 0.09 * t
    curl = np.stack([r * np.cos(t) * 0.9, r * np.sin(t) * 0.6], 1).astype(np.float32)
    wood = Material((0.85, 0.70, 0.50), gloss=0.1, speckle=0.08)
    return [Part((stroke(curl, float(rng.uniform(0.06, 0.16))),), wood, 0.06, 0.0, 0.03)]


def _anchor(rng: Rng) -> list[Part]:
    color = MATERIALS[int(rng.choice([6, 7, 8]))]
    body = rounded(path([(-0.9, -0.3), (0.9, -0.2), (0.9, 0.2), (-0.9, 0.3)]), 0.08)
    fins = [Part((box(0.06, 0.66, float(x)),), color, 0.12, 0.1, 0.03) for x in (-0.4, -0.1, 0.2)]
    lip = Part((ellipse(0.12, 0.42, -0.9),), color, 0.3, 0.0, 0.08)
    return [Part((body,), color, 0.25, 0.0, 0.2), *fins, lip]


CLUTTER: tuple[Callable[[Rng], list[Part]], ...] = (
    _bolt,
    _screw,
    _screw_head,
    _square_nut,
    _coin,
    _strip,
    _hex_key,
    _spring,
    _cable,
    _pencil,
    _shaving,
    _anchor,
)


def piece(name: str, rng: Rng) -> Solid:
    """A random piece of a category."""
    return Solid(name, tuple(HARDWARE[name](rng)))


def clutter(rng: Rng) -> Solid:
    """A random thing that belongs to no category."""
    return Solid("", tuple(CLUTTER[int(rng.integers(len(CLUTTER)))](rng)))
