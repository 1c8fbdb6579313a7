"""Turns a solid in a pose into lit pixels: bevelled, extruded, shaded, with an alpha mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.worlds.noise import Rng, bands, smooth
from tools.worlds.shapes import Material, Outline, Part, Solid

Array = NDArray[np.float32]
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Pose:
    """Where a solid lies: centre and radius in canvas pixels, turn, and foreshortening.

    `squash` (0..1] shortens the frame along `lean` radians, as a tilt away from the eye does.
    """

    x: float
    y: float
    radius: float
    turn: float = 0.0
    squash: float = 1.0
    lean: float = 0.0
    mirror: bool = False

    def apply(self, outline: Outline) -> Outline:
        """Unit frame to canvas pixels."""
        points = outline * np.array([-1.0 if self.mirror else 1.0, 1.0])
        points = points @ _rotation(self.turn - self.lean).T
        points = points * np.array([self.squash, 1.0])
        points = points @ _rotation(self.lean).T
        return (points * self.radius + np.array([self.x, self.y])).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """One lamp and the sky: direction to the lamp (x, y, z; unit), strengths, colour (RGB)."""

    direction: tuple[float, float, float]
    strength: float = 0.75
    ambient: float = 0.45
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Sprite:
    """Lit pixels of one solid on a patch of the canvas.

    rgb: (h, w, 3) in 0..1; alpha: (h, w) in 0..1; height: tallest point in canvas pixels.
    """

    left: int
    top: int
    rgb: Array
    alpha: Array
    height: float


def _rotation(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def render(solid: Solid, pose: Pose, light: Light, rng: Rng) -> Sprite:
    """Draw the parts from the ground up; each hides what lies below it."""
    outlines = [[pose.apply(o) for o in part.outlines] for part in solid.parts]
    rise = _rise(pose)
    tallest = max((p.height + p.lift) for p in solid.parts) * pose.radius
    points = np.concatenate([o for group in outlines for o in group])
    reach = abs(rise) * tallest + 4
    left, top = np.floor(points.min(0) - reach).astype(int)
    right, bottom = np.ceil(points.max(0) + reach).astype(int)
    rgb = np.zeros((bottom - top, right - left, 3), np.float32)
    alpha = np.zeros(rgb.shape[:2], np.float32)
    for part, group in zip(solid.parts, outlines, strict=True):
        local = [o - np.array([left, top], np.float32) for o in group]
        _draw_part(rgb, alpha, part, local, pose=pose, light=light, rise=rise, rng=rng)
    return Sprite(int(left), int(top), rgb, alpha, float(tallest))


def _rise(pose: Pose) -> NDArray[np.float64]:
    """The image direction of "up" per unit of height: away from the eye's side, by the tilt."""
    tilt = float(np.sqrt(max(0.0, 1 - pose.squash**2)))
    return np.array([np.cos(pose.lean), np.sin(pose.lean)]) * (-tilt)


def fill(outlines: list[Outline], height: int, width: int) -> NDArray[np.uint8]:
    """An antialiased even-odd mask, 0..255."""
    mask = np.zeros((height, width), np.uint8)
    fixed = [np.round(o * 2**_SUBPIXEL_BITS).astype(np.int32) for o in outlines]
    cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask


def _draw_part(
    rgb: Array,
    alpha: Array,
    part: Part,
    outlines: list[Outline],
    *,
    pose: Pose,
    light: Light,
    rise: NDArray[np.float64],
    rng: Rng,
) -> None:
    height, width = alpha.shape
    foot = rise * part.lift * pose.radius
    head = rise * (part.lift + part.height) * pose.radius
    span = float(np.abs(head - foot).max())
    steps = max(1, int(np.ceil(span)))
    side = np.zeros((height, width), np.uint8)
    for step in range(steps):
        shift = (foot + (head - foot) * step / steps).astype(np.float32)
        side = np.maximum(side, fill([o + shift for o in outlines], height, width))
    mask = fill([o + head.astype(np.float32) for o in outlines], height, width)
    _blend(rgb, alpha, _side_color(side, part.material, light), side)
    _blend(rgb, alpha, _top_color(mask, part, pose, light, rng), mask)


def _blend(rgb: Array, alpha: Array, color: Array, mask: NDArray[np.uint8]) -> None:
    cover = mask.astype(np.float32)[..., None] / 255
    rgb *= 1 - cover
    rgb += color * cover
    np.maximum(alpha, cover[..., 0], out=alpha)


def _side_color(mask: NDArray[np.uint8], material: Material, light: Light) -> Array:
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 3.0)
    nx, ny = -cv2.Sobel(soft, cv2.CV_32F, 1, 0), -cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    length = np.sqrt(nx * nx + ny * ny) + 1e-3
    facing = np.clip((nx * light.direction[0] + ny * light.direction[1]) / length, 0, 1)
    level = 0.5 * light.ambient + 0.55 * light.strength * facing
    color = np.array(material.color, np.float32) * np.array(light.color, np.float32)
    return (level[..., None] * color).astype(np.float32)


def _normals(mask: NDArray[np.uint8], rim: float) -> tuple[Array, Array, Array]:
    """Surface normals of a slab whose edge is rounded over `rim` pixels."""
    inside = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5)
    t = np.clip(inside / max(rim, 1.0), 0, 1)
    quarter_round = np.sqrt(1 - (1 - t) ** 2).astype(np.float32)
    surface = cv2.GaussianBlur(quarter_round, (0, 0), 1.0) * rim * 0.8
    # 1/8 makes the Sobel weights a derivative per pixel
    nx = -cv2.Sobel(surface, cv2.CV_32F, 1, 0, scale=0.125)
    ny = -cv2.Sobel(surface, cv2.CV_32F, 0, 1, scale=0.125)
    nz = 1 / np.sqrt(1 + nx * nx + ny * ny)
    return nx * nz, ny * nz, nz


def _top_color(mask: NDArray[np.uint8], part: Part, pose: Pose, light: Light, rng: Rng) -> Array:
    height, width = mask.shape
    material = part.material
    nx, ny, nz = _normals(mask, part.bevel * pose.radius)
    bumps = 0.05 + 0.05 * material.wear
    nx = nx + bumps * smooth(rng, height, width, max(6.0, pose.radius / 2))
    ny = ny + bumps * smooth(rng, height, width, max(6.0, pose.radius / 2))
    lx, ly, lz = light.direction
    diffuse = np.clip(nx * lx + ny * ly + nz * lz, 0, 1)
    hx, hy, hz = np.array([lx, ly, lz + 1]) / np.linalg.norm([lx, ly, lz + 1])
    power = 6 + 120 * material.gloss**2
    glint = np.clip(nx * hx + ny * hy + nz * hz, 0, 1) ** power
    base = _albedo(height, width, material, pose, rng)
    matte = base * (light.ambient + light.strength * diffuse)[..., None]
    room = _room(nx, ny, pose, rng)
    mirror = base * (0.25 + (0.95 * light.strength + 0.3) * room)[..., None]
    body = matte * (1 - material.metal) + (0.35 * matte + 0.65 * mirror) * material.metal
    tone = np.array(material.color, np.float32) * material.metal + (1 - material.metal)
    shine = (light.strength * (0.15 + 0.85 * material.gloss) * glint)[..., None] * tone
    return ((body + shine) * np.array(light.color, np.float32)).astype(np.float32)


def _room(nx: Array, ny: Array, pose: Pose, rng: Rng) -> Array:
    """What a metal surface mirrors: bright and dark bands over the direction of reflection."""
    height, width = nx.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    sweep = 0.16 / max(pose.radius, 1.0)
    angle = rng.uniform(0, 2 * np.pi)
    rx = 2 * nx + sweep * (xs - width / 2)
    ry = 2 * ny + sweep * (ys - height / 2)
    along = np.cos(angle) * rx + np.sin(angle) * ry
    return bands(rng, (0.5 + 0.28 * along).astype(np.float32), knots=7)


def _albedo(height: int, width: int, material: Material, pose: Pose, rng: Rng) -> Array:
    """The surface's own colour with its grain, brush marks and worn patches."""
    color = np.array(material.color, np.float32)
    field = np.ones((height, width), np.float32)
    if material.speckle:
        field += material.speckle * rng.standard_normal((height, width), dtype=np.float32)
    if material.brushed:
        streaks = np.repeat(rng.standard_normal((height, 1), dtype=np.float32), width, 1)
        spin = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(-pose.turn)), 1.5)
        streaks = cv2.warpAffine(streaks, spin, (width, height), borderMode=cv2.BORDER_REFLECT)
        field += 0.12 * material.brushed * streaks
    albedo: Array = field[..., None] * color
    if material.wear:
        patch = smooth(rng, height, width, max(5.0, pose.radius / 4))
        patch += 0.5 * smooth(rng, height, width, max(3.0, pose.radius / 10))
        worn = np.clip((patch - 0.9 + 0.7 * material.wear) * 4, 0, 1)[..., None]
        rust = np.array([0.42, 0.22, 0.1], np.float32) * (0.6 + 0.4 * field[..., None])
        albedo = albedo * (1 - 0.75 * worn) + rust * 0.75 * worn
    return albedo.astype(np.float32)
