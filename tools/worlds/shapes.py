"""Outlines in a unit frame, and the parts that solids are made of.

An outline is an (n, 2) float array; a part's outlines are filled even-odd, so that a second
outline inside the first one is a hole. The frame is x right, y down, about 1 in radius.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float32]
Angles = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """How a surface answers light; colour is RGB in 0..1, the rest are weights in 0..1."""

    color: tuple[float, float, float]
    metal: float = 0.0
    gloss: float = 0.5
    brushed: float = 0.0
    speckle: float = 0.05
    wear: float = 0.0


@dataclass(frozen=True)
class Part:
    """One slab of a solid: outlines, how far it rises, and how round its rim is (unit lengths)."""

    outlines: tuple[Outline, ...]
    material: Material
    height: float = 0.15
    lift: float = 0.0
    bevel: float = 0.08


@dataclass(frozen=True)
class Solid:
    """A thing of the world: its parts from the ground up, under a category name or "" (clutter)."""

    name: str
    parts: tuple[Part, ...] = field(default_factory=tuple)


def circle(radius: float, x: float = 0.0, y: float = 0.0, points: int = 64) -> Outline:
    """A round outline."""
    return ellipse(radius, radius, x, y, points)


def ellipse(rx: float, ry: float, x: float = 0.0, y: float = 0.0, points: int = 64) -> Outline:
    """An axis-aligned ellipse."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1).astype(np.float32)


def regular(sides: int, radius: float = 1.0, turn: float = 0.0) -> Outline:
    """A regular polygon."""
    t = np.arange(sides) * 2 * np.pi / sides + turn
    return (radius * np.stack([np.cos(t), np.sin(t)], 1)).astype(np.float32)


def box(width: float, height: float, x: float = 0.0, y: float = 0.0) -> Outline:
    """An upright rectangle about (x, y)."""
    w, h = width / 2, height / 2
    corners = [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]
    return np.array(corners, np.float32)


def polar(radius: Callable[[Angles], Angles], points: int = 160) -> Outline:
    """An outline given as radius over angle."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    r = radius(t)
    return np.stack([r * np.cos(t), r * np.sin(t)], 1).astype(np.float32)


def star(points: int, inner: float, outer: float = 1.0) -> Outline:
    """A star with straight edges."""
    t = np.arange(points * 2) * np.pi / points - np.pi / 2
    r = np.where(np.arange(points * 2) % 2 == 0, outer, inner)
    return np.stack([r * np.cos(t), r * np.sin(t)], 1).astype(np.float32)


def path(points: Sequence[tuple[float, float]]) -> Outline:
    """An outline from its corners."""
    return np.array(points, np.float32)


def rounded(outline: Outline, radius: float, steps: int = 6) -> Outline:
    """Round every corner with a quadratic curve that starts `radius` before it."""
    result: list[NDArray[np.float32]] = []
    count, mix = len(outline), np.linspace(0, 1, steps)
    for i in range(count):
        before, corner, after = outline[i - 1], outline[i], outline[(i + 1) % count]
        into, out = before - corner, after - corner
        reach_in = min(radius, 0.5 * float(np.linalg.norm(into)))
        reach_out = min(radius, 0.5 * float(np.linalg.norm(out)))
        start = corner + into / (np.linalg.norm(into) + 1e-9) * reach_in
        end = corner + out / (np.linalg.norm(out) + 1e-9) * reach_out
        curve = ((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t * t * end for t in mix)
        result.extend(curve)
    return np.array(result, np.float32)


def stroke(line: Outline, width: float) -> Outline:
    """The outline of a thick open line with round ends, traced from a drawing of it."""
    scale = 240.0
    low = line.min(0) - width
    size = np.ceil((line.max(0) + width - low) * scale).astype(int) + 2
    canvas = np.zeros((size[1], size[0]), np.uint8)
    pixels = np.round((line - low) * scale).astype(np.int32)
    cv2.polylines(canvas, [pixels], False, 255, max(1, round(width * scale)), cv2.LINE_AA)
    return trace(canvas)[0] / np.float32(scale) + low.astype(np.float32)


def trace(mask: NDArray[np.uint8]) -> list[Outline]:
    """Outlines of a drawn mask, holes included, largest first, in its pixels."""
    solid = (mask > 127).astype(np.uint8)
    found, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outlines = [cv2.approxPolyDP(c, 0.7, True).reshape(-1, 2).astype(np.float32) for c in found]
    outlines = [o for o in outlines if len(o) >= 3]
    return sorted(outlines, key=lambda o: -abs(float(cv2.contourArea(o))))


def turned(outline: Outline, angle: float, x: float = 0.0, y: float = 0.0) -> Outline:
    """Turn by `angle` radians about the origin, then move."""
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, s], [-s, c]])
    return (outline @ rotation + np.array([x, y])).astype(np.float32)
