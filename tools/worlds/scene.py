"""Lays solids on a surface and photographs them: shadows, hiding, lens and sensor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.worlds.noise import Rng, grain, smooth
from tools.worlds.shade import Array, Light, Pose, Sprite, render
from tools.worlds.shapes import Solid

SUPERSAMPLING = 2
"""Canvas pixels to one picture pixel, along each side."""

SOLID_ENOUGH = 0.5
"""The alpha from which on a pixel belongs to the thing drawn there."""


@dataclass(frozen=True)
class Placed:
    """A solid in its pose, in canvas pixels."""

    solid: Solid
    pose: Pose


@dataclass(frozen=True)
class Thing:
    """What can be known of one placed solid after the picture is made.

    visible: (height, width) bool mask in picture pixels, holes and all; shown: share of the
    whole solid, frame edges and hiding considered, that the picture shows.
    """

    name: str
    visible: NDArray[np.bool_]
    shown: float
    index: int


@dataclass(frozen=True)
class Lens:
    """What the camera does to the light: blur in picture pixels, noise and vignette in 0..1."""

    blur: float = 0.4
    noise: float = 0.012
    vignette: float = 0.25
    exposure: float = 1.0
    warmth: float = 0.0


def shoot(
    ground: Array, placed: list[Placed], light: Light, lens: Lens, rng: Rng
) -> tuple[NDArray[np.uint8], list[Thing]]:
    """Make the picture of things lying on `ground` (canvas, RGB 0..1), first placed lowest.

    Returns the BGR picture, (height, width, 3) uint8 at 1/SUPERSAMPLING of the canvas, and one
    Thing per placed solid, in order.
    """
    canvas = lit(ground, light)
    owners = np.full(canvas.shape[:2], -1, np.int16)
    wholes: list[float] = []
    for index, item in enumerate(placed):
        sprite = render(item.solid, item.pose, light, rng)
        wholes.append(float((sprite.alpha > SOLID_ENOUGH).sum()))
        cast_shadow(canvas, sprite, light)
        paste(canvas, owners, sprite, index)
    things = [
        _thing(item.solid.name, owners == index, whole, index)
        for index, (item, whole) in enumerate(zip(placed, wholes, strict=True))
    ]
    return expose(canvas, lens, rng), things


def lit(ground: Array, light: Light) -> Array:
    """A surface under the lamp, brighter on the lamp's side."""
    height, width = ground.shape[:2]
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    falloff = 1 + 0.16 * (xs * light.direction[0] + ys * light.direction[1])
    level = light.ambient + light.strength * light.direction[2]
    color = np.array(light.color, np.float32)
    return (ground * color * (level * falloff)[..., None]).astype(np.float32)


def expose(canvas: Array, lens: Lens, rng: Rng) -> NDArray[np.uint8]:
    """Canvas light to an 8-bit BGR picture: shrink, blur, vignette, noise, tone curve."""
    height, width = canvas.shape[0] // SUPERSAMPLING, canvas.shape[1] // SUPERSAMPLING
    picture = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    if lens.blur > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), lens.blur)
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    picture *= (1 - lens.vignette * (xs * xs + ys * ys) / 2)[..., None] * lens.exposure
    picture *= np.array([1 + lens.warmth, 1.0, 1 - lens.warmth], np.float32)
    for channel in range(3):
        picture[..., channel] += lens.noise * grain(rng, height, width, 0.6)
    # a soft shoulder keeps highlights from clipping into flat white
    picture = np.clip(picture, 0, None)
    picture = np.where(picture > 0.75, 0.75 + 0.25 * np.tanh((picture - 0.75) / 0.25), picture)
    return np.ascontiguousarray((picture[..., ::-1] * 255 + 0.5).astype(np.uint8))


def _window(sprite: Sprite, height: int, width: int) -> tuple[slice, slice, slice, slice] | None:
    """The part of a sprite on the canvas: rows, columns there, then those of the sprite."""
    top, left = max(0, sprite.top), max(0, sprite.left)
    bottom = min(height, sprite.top + sprite.alpha.shape[0])
    right = min(width, sprite.left + sprite.alpha.shape[1])
    if top >= bottom or left >= right:
        return None
    inner_rows = slice(top - sprite.top, bottom - sprite.top)
    inner_columns = slice(left - sprite.left, right - sprite.left)
    return slice(top, bottom), slice(left, right), inner_rows, inner_columns


def cast_shadow(canvas: Array, sprite: Sprite, light: Light) -> None:
    """Darken what lies away from the lamp, softer the taller the thing; and where it touches."""
    lx, ly, lz = light.direction
    throw = sprite.height / max(lz, 0.35)
    soft = 2.0 + 0.45 * throw
    pad = int(abs(throw) + 3 * soft) + 2
    alpha = cv2.copyMakeBorder(sprite.alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    shift = np.array([[1, 0, -lx * throw], [0, 1, -ly * throw]], np.float32)
    moved = cv2.warpAffine(alpha, shift, (alpha.shape[1], alpha.shape[0]))
    cast = cv2.GaussianBlur(np.maximum(moved, 0.6 * alpha), (0, 0), soft)
    touch = cv2.GaussianBlur(alpha, (0, 0), 2.5)
    depth = np.clip(0.62 * light.strength * cast + 0.22 * touch, 0, 0.8)
    shade = Sprite(sprite.left - pad, sprite.top - pad, sprite.rgb, depth, 0)
    window = _window(shade, canvas.shape[0], canvas.shape[1])
    if window is not None:
        rows, columns, inner_rows, inner_columns = window
        canvas[rows, columns] *= (1 - depth[inner_rows, inner_columns])[..., None]


def paste(canvas: Array, owners: NDArray[np.int16], sprite: Sprite, index: int) -> None:
    """Lay a sprite on the canvas and enter its number for the pixels that it hides."""
    window = _window(sprite, canvas.shape[0], canvas.shape[1])
    if window is None:
        return
    rows, columns, inner_rows, inner_columns = window
    alpha = sprite.alpha[inner_rows, inner_columns]
    rgb = sprite.rgb[inner_rows, inner_columns]
    canvas[rows, columns] = canvas[rows, columns] * (1 - alpha[..., None]) + rgb * alpha[..., None]
    owners[rows, columns][alpha > SOLID_ENOUGH] = index


def _thing(name: str, owned: NDArray[np.bool_], whole: float, index: int) -> Thing:
    s = SUPERSAMPLING
    height, width = owned.shape[0] // s, owned.shape[1] // s
    counts = owned[: height * s, : width * s].reshape(height, s, width, s).sum((1, 3))
    return Thing(name, counts * 2 >= s * s, float(owned.sum()) / max(whole, 1.0), index)


def random_light(rng: Rng) -> Light:
    """A lamp anywhere above, from flat noon to low evening light, slightly coloured."""
    around, up = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.92)
    flat = float(np.sqrt(1 - up * up))
    warm = rng.uniform(-0.06, 0.08)
    return Light(
        direction=(flat * float(np.cos(around)), flat * float(np.sin(around)), float(up)),
        strength=float(rng.uniform(0.45, 0.85)),
        ambient=float(rng.uniform(0.3, 0.55)),
        color=(1.0 + float(warm), 1.0, 1.0 - float(warm)),
    )


def random_lens(rng: Rng) -> Lens:
    """A camera between sharp and clean, and soft and noisy."""
    return Lens(
        blur=float(rng.uniform(0.2, 0.9)),
        noise=float(rng.uniform(0.004, 0.028)),
        vignette=float(rng.uniform(0.05, 0.4)),
        exposure=float(rng.uniform(0.85, 1.45)),
        warmth=float(rng.uniform(-0.05, 0.06)),
    )


def dapple(ground: Array, rng: Rng) -> Array:
    """Throw the soft shadow of something out of view over a surface."""
    height, width = ground.shape[:2]
    veil = smooth(rng, height, width, rng.uniform(120, 400))
    depth = float(rng.uniform(0.1, 0.35))
    return (ground * (1 - depth * np.clip(veil * 2, 0, 1))[..., None]).astype(np.float32)
