"""A clip of the same workbench, its camera panning and pieces sliding by, with every box known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tools.worlds.bench_scene import LEAST_SHOWN, lying
from tools.worlds.hardware import HARDWARE, clutter, piece
from tools.worlds.noise import Rng
from tools.worlds.scene import SOLID_ENOUGH, SUPERSAMPLING, Lens, cast_shadow, expose, lit, paste
from tools.worlds.shade import Array, Light, Sprite, render
from tools.worlds.surfaces import planks

WIDTH, HEIGHT, FPS = 640, 360, 24
_S = SUPERSAMPLING
_PAN = 1.1
"""Length of the camera's way, in widths of the picture."""

_LEAST_PIXELS = 120
_LIGHT = Light((-0.45, -0.4, 0.8), strength=0.72, ambient=0.42, color=(1.03, 1.0, 0.96))
_LENS = Lens(blur=0.35, noise=0.004, vignette=0.22, exposure=1.12)


@dataclass(frozen=True)
class Actor:
    """A lit solid on the bench; `start` and `end` are shifts, in canvas pixels, of its slide."""

    name: str
    sprite: Sprite
    start: tuple[float, float] = (0.0, 0.0)
    end: tuple[float, float] = (0.0, 0.0)

    def shift(self, progress: float) -> tuple[float, float]:
        """Where it has slid to at `progress` 0..1 of the clip, slow at both ends."""
        ease = progress * progress * (3 - 2 * progress)
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        return self.start[0] + dx * ease, self.start[1] + dy * ease


@dataclass(frozen=True)
class Stage:
    """The bench with all that lies still, who owns which of its pixels, and who will move."""

    canvas: Array
    owners: NDArray[np.int16]
    resting: list[Actor]
    sliding: list[Actor]


def write_video(folder: Path, seed: int, seconds: float) -> None:
    """Write video.mp4 (H.264, 640x360, 24 fps) and video_truth.json (COCO) into `folder`."""
    rng = np.random.default_rng([seed, 1_000_000])
    stage = set_stage(rng)
    frames = round(seconds * FPS)
    folder.mkdir(parents=True, exist_ok=True)
    annotations: list[dict[str, Any]] = []
    with av.open(str(folder / "video.mp4"), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # one thread: with more, the encoder's choices depend on their timing
        stream.options = {"crf": "23", "preset": "slow", "threads": "1"}
        for index, (picture, boxes) in enumerate(film(stage, frames, rng)):
            annotations += [{**box, "image_id": index} for box in boxes]
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        target.mux(stream.encode(None))
    _write_truth(folder / "video_truth.json", frames, annotations, seed)


def set_stage(rng: Rng) -> Stage:
    """A long bench; every category lies on it and slides over it."""
    height, width = HEIGHT * _S, round(WIDTH * _S * (1 + _PAN))
    canvas = lit(planks(height, width, rng), _LIGHT)
    owners = np.full((height, width), -1, np.int16)
    names = [*HARDWARE] * 4 + [""] * 7
    resting: list[Actor] = []
    spots: list[tuple[float, float, float]] = []
    for name in (names[i] for i in rng.permutation(len(names))):
        actor = _actor(name, _resting_spot(width, height, spots, rng), rng)
        cast_shadow(canvas, actor.sprite, _LIGHT)
        paste(canvas, owners, actor.sprite, len(resting))
        resting.append(actor)
    sliding = []
    for number, name in enumerate([*HARDWARE, *HARDWARE]):
        x = width * (0.12 + 0.76 * number / 7)
        y = height * float(rng.uniform(0.25, 0.75))
        way = width * float(rng.uniform(0.2, 0.38)) * (1 if number % 3 else -1)
        drop = height * float(rng.uniform(-0.2, 0.2))
        actor = _actor(name, (x, y, height * float(rng.uniform(0.08, 0.12))), rng)
        sliding.append(Actor(name, actor.sprite, (-way / 2, -drop / 2), (way / 2, drop / 2)))
    return Stage(canvas, owners, resting, sliding)


def _resting_spot(
    width: int, height: int, spots: list[tuple[float, float, float]], rng: Rng
) -> tuple[float, float, float]:
    for _ in range(200):
        radius = height * float(rng.uniform(0.07, 0.12))
        x, y = float(rng.uniform(0.02, 0.98) * width), float(rng.uniform(0.08, 0.92) * height)
        if all(np.hypot(x - a, y - b) > 0.95 * (radius + r) for a, b, r in spots):
            break
    spots.append((x, y, radius))
    return x, y, radius


def _actor(name: str, spot: tuple[float, float, float], rng: Rng) -> Actor:
    solid = piece(name, rng) if name else clutter(rng)
    larger = 1.25 if name in ("bracket", "wing-nut") else 1.0
    pose = lying(spot[0], spot[1], spot[2] * larger, rng)
    return Actor(name, render(solid, pose, _LIGHT, rng))


def film(
    stage: Stage, frames: int, rng: Rng
) -> Iterator[tuple[NDArray[np.uint8], list[dict[str, Any]]]]:
    """Pictures, (HEIGHT, WIDTH, 3) BGR, each with the boxes of what it shows."""
    actors = stage.resting + stage.sliding
    wholes = [float((a.sprite.alpha > SOLID_ENOUGH).sum()) for a in actors]
    way = stage.canvas.shape[1] - WIDTH * _S
    for index in range(frames):
        progress = index / max(1, frames - 1)
        left = way * (0.5 - 0.5 * np.cos(np.pi * progress))
        canvas, owners = _window(stage, left)
        for number, actor in enumerate(stage.sliding, len(stage.resting)):
            dx, dy = actor.shift(progress)
            sprite = _moved(actor.sprite, dx - left, dy)
            cast_shadow(canvas, sprite, _LIGHT)
            paste(canvas, owners, sprite, number)
        boxes = [b for n, a in enumerate(actors) for b in _boxes(n, a, owners, wholes[n])]
        yield expose(canvas, _LENS, rng), boxes


def _window(stage: Stage, left: float) -> tuple[Array, NDArray[np.int16]]:
    """What the camera sees of the resting bench, from canvas column `left` on."""
    size = (WIDTH * _S, HEIGHT * _S)
    shift = np.array([[1, 0, -left], [0, 1, 0]], np.float32)
    canvas = cv2.warpAffine(stage.canvas, shift, size, borderMode=cv2.BORDER_REPLICATE)
    owners = cv2.warpAffine(
        stage.owners, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return canvas, owners


def _moved(sprite: Sprite, dx: float, dy: float) -> Sprite:
    """The sprite at another place, between pixels too."""
    whole_x, whole_y = int(np.floor(dx)), int(np.floor(dy))
    part = np.array([[1, 0, dx - whole_x], [0, 1, dy - whole_y]], np.float32)
    size = (sprite.alpha.shape[1], sprite.alpha.shape[0])
    rgb, alpha = cv2.warpAffine(sprite.rgb, part, size), cv2.warpAffine(sprite.alpha, part, size)
    return Sprite(sprite.left + whole_x, sprite.top + whole_y, rgb, alpha, sprite.height)


def _boxes(
    number: int, actor: Actor, owners: NDArray[np.int16], whole: float
) -> list[dict[str, Any]]:
    """The annotation of one actor in one frame: of its visible part, if that is enough to name."""
    if not actor.name:
        return []
    mine = owners == number
    pixels = int(mine.sum())
    if pixels < _LEAST_PIXELS * _S * _S or pixels < LEAST_SHOWN * whole:
        return []
    x, y, w, h = (v / _S for v in cv2.boundingRect(mine.astype(np.uint8)))
    return [
        {
            "category_id": list(HARDWARE).index(actor.name),
            "bbox": [x, y, w, h],
            "area": round(pixels / _S**2),
            "iscrowd": 0,
            "track_id": number,
        }
    ]


def _write_truth(path: Path, frames: int, annotations: list[dict[str, Any]], seed: int) -> None:
    """COCO with one annotation to a line; `image_id` is the number of the frame, from 0."""
    head = {
        "info": {"description": "true boxes of video.mp4, of what is visible", "seed": seed},
        "licenses": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(HARDWARE)],
        "images": [
            {"id": i, "file_name": f"video_{i:06d}.jpg", "width": WIDTH, "height": HEIGHT}
            for i in range(frames)
        ],
    }
    numbered = ({"id": i, **a} for i, a in enumerate(annotations, 1))
    lines = [json.dumps(a, separators=(",", ":")) for a in numbered]
    text = json.dumps(head)[:-1] + ', "annotations": [\n' + ",\n".join(lines) + "\n]}\n"
    path.write_text(text, encoding="utf-8")
