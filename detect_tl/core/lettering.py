"""Words on pictures."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.images import Image

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""


def put_label(
    image: Image, text: str, corner: tuple[int, int], letters: int, colour: Colour
) -> None:
    """Put a filled label on top of a box, or inside where there is no room above; in place.

    corner: top left of the box, x and y in pixels. letters: their height, pixels.
    """
    x1, y1, x2, y2 = label_area(image, text, corner, letters)
    image[y1:y2, x1:x2] = _stamp(text, letters, colour)[: y2 - y1, : x2 - x1]


def label_area(
    image: Image, text: str, corner: tuple[int, int], letters: int
) -> tuple[int, int, int, int]:
    """The pixels that `put_label` fills: x1, y1, x2, y2."""
    height, width = image.shape[:2]
    stamp = _stamp(text, letters, (0, 0, 0))
    h, w = min(stamp.shape[0], height), min(stamp.shape[1], width)
    x = min(max(corner[0], 0), width - w)
    y = corner[1] - h if corner[1] >= h else min(max(corner[1], 0), height - h)
    y = min(y, height - h)
    return x, y, x + w, y + h


@lru_cache(maxsize=2048)
def _stamp(text: str, letters: int, colour: Colour) -> Image:
    """A label as a small picture, kept because the same ones come again and again."""
    from PIL import Image as Pil, ImageDraw

    face = font(letters)
    left, _, right, _ = face.getbbox(text)
    margin = max(letters // 4, 2)
    ascent, descent = face.getmetrics()
    size = (int(right - left) + 2 * margin, ascent + descent + margin // 2)
    blue, green, red = colour
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 150
    picture = Pil.new("RGB", size, (red, green, blue))
    ink = (0, 0, 0) if bright else (255, 255, 255)
    ImageDraw.Draw(picture).text((margin - left, 0), text, ink, font=face)
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


@lru_cache(maxsize=8)
def font(letters: int) -> Any:
    """DejaVu Sans, which comes with matplotlib and knows Latin, Greek, Cyrillic and more.

    OpenCV's own fonts know ASCII only. Pillow's built-in font stands in without matplotlib.
    """
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), letters)
    return ImageFont.load_default(letters)
