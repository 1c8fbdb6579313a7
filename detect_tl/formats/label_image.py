"""Pictures whose pixels are numbers: of an object, or of a class."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, RleMask, Size

# A mask is unpacked to several numbers per pixel; beyond this, a small file would fill the memory.
MOST_PIXELS = 2**27

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class LabelImage:
    """values: (height, width) int32, one number per pixel.

    colours: RGB of every number that occurs, where the file shows colours; empty where it holds
    bare numbers. In a picture with a palette the numbers are those of the palette, in a picture
    without one they are r * 65536 + g * 256 + b.
    """

    values: NDArray[np.int32]
    colours: Mapping[int, Colour]

    @property
    def size(self) -> Size:
        height, width = self.values.shape
        return Size(width, height)


@dataclass(frozen=True, slots=True)
class Region:
    """All pixels of one number, and the smallest box around them."""

    value: int
    mask: RleMask
    box: Box


def read_label_image(source: Path | bytes) -> LabelImage:
    """Read a picture of numbers; transparent pixels count as black.

    Raises DataError when it is no picture or damaged, and, before unpacking it, when it declares
    more than `MOST_PIXELS` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    path = source if isinstance(source, Path) else None
    opened = path if path is not None else io.BytesIO(bytes(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size, which is looked at below
            with Image.open(opened) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise DataError(f"a mask of {width}x{height} pixels is refused", path=path)
                return _unpacked(image)
    except UnidentifiedImageError as error:
        raise DataError("the mask is not an image", path=path) from error
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"the mask is not readable: {error}", path=path) from error


def _unpacked(image: Any) -> LabelImage:
    if image.mode == "P":
        values = np.asarray(image).astype(np.int32)
        flat = image.getpalette("RGB") or []
        table = {k: (flat[3 * k], flat[3 * k + 1], flat[3 * k + 2]) for k in range(len(flat) // 3)}
        return LabelImage(values, {k: table.get(k, (0, 0, 0)) for k in _numbers(values)})
    if image.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L"):
        grey = np.asarray(image).astype(np.int32)
        if image.mode == "LA":
            grey = np.where(grey[:, :, 1] > 0, grey[:, :, 0], 0)
        return LabelImage(grey, {})
    pixels = np.asarray(image.convert("RGBA")).astype(np.int32)
    red, green, blue, alpha = (pixels[:, :, k] for k in range(4))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return LabelImage(np.where(alpha > 0, red, 0), {})  # numbers, saved as if in colour
    packed = np.where(alpha > 0, red << 16 | green << 8 | blue, 0)
    return LabelImage(packed, {v: (v >> 16, v >> 8 & 255, v & 255) for v in _numbers(packed)})


def _numbers(values: NDArray[np.int32]) -> list[int]:
    numbers: list[int] = np.unique(values).tolist()
    return numbers


def regions(values: NDArray[np.int32], without: Collection[int] = (0,)) -> Iterator[Region]:
    """The pixels of every number but those of `without`, in the order of the numbers.

    values: (height, width). One pass over the picture, however many objects there are.
    """
    height, width = values.shape
    flat = values.T.reshape(-1)
    kept = np.flatnonzero(~np.isin(flat, list(without)))
    order = kept[np.argsort(flat[kept], kind="stable")]
    numbers, starts = np.unique(flat[order], return_index=True)
    for number, places in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
        yield Region(number, _runs(places, Size(width, height)), _box(places, height))


def _runs(places: NDArray[np.int64], size: Size) -> RleMask:
    """Run lengths of the pixels at `places`, which count down the columns and ascend."""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    first = places[np.concatenate(([0], breaks))]
    last = places[np.concatenate((breaks - 1, [len(places) - 1]))] + 1
    edges = np.concatenate(([0], np.stack([first, last], axis=1).reshape(-1)))
    counts = np.diff(edges).tolist()
    rest = size.width * size.height - int(last[-1])
    return RleMask(tuple(counts + [rest] * (rest > 0)), size)


def _box(places: NDArray[np.int64], height: int) -> Box:
    xs, ys = places // height, places % height
    corners = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return Box(*(float(v) for v in corners))
