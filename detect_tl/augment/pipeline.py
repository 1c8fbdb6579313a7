"""Apply an augmentation to a picture and its objects, so that both stay together.

Beside the picture goes a map that holds, for every pixel, where in the picture it is; transforms
move it as they move a mask. Afterwards it tells of every pixel where it came from, and any number
of masks are looked up in it: they follow the pixels whatever was done, holes, parts and all.
(Moving the vertices of polygons instead goes wrong by up to a pixel under a flip, and by more where
the picture is bent.)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.augment.catalog import build_step
from detect_tl.augment.spec import Augmentation
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    RleMask,
    Size,
    bitmap_to_rle,
    rings_box,
)
from detect_tl.core.images import Image
from detect_tl.core.masks import draw_mask, outline
from detect_tl.core.objects import Instance

MIN_VISIBLE = 0.1
"""An object goes when a smaller share of its box is left in the picture, or nothing of its mask."""

_ROUNDING = 1e-3

Bitmap = NDArray[np.uint8]
"""(height, width) of 0 and 1."""

Index = NDArray[np.int64]

Origins = NDArray[np.float32]
"""(height, width, 2): one more than x and y of the pixel that came here; 0 for none."""


@dataclass(frozen=True, slots=True)
class Augmented:
    """image: uint8 BGR. dropped: how many objects were pushed out of it, or had no area."""

    image: Image
    instances: tuple[Instance, ...]
    dropped: int = 0


class Pipeline:
    """An augmentation made ready; the same picture, objects and seed give the same result.

    Raises UsageError when albumentations does not know a transform or its parameters.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        import albumentations

        self.augmentation = augmentation
        self._steps = albumentations.Compose(
            # the last does nothing, but knows boxes: without such a one they are not taken
            [*(build_step(step) for step in augmentation.steps), albumentations.NoOp()],
            bbox_params=albumentations.BboxParams(
                format="pascal_voc", label_fields=["number"], min_visibility=MIN_VISIBLE
            ),
        )

    def __call__(self, image: Image, instances: Sequence[Instance], seed: int) -> Augmented:
        """Change `image` (BGR) and move its objects with it; neither argument is written to.

        Raises UsageError when a transform does not fit the picture, such as a crop of more than
        all of it.
        """
        if not self.augmentation.steps:
            return Augmented(image, tuple(instances))
        size = Size(image.shape[1], image.shape[0])
        boxes = {k: item.box.clipped(size) for k, item in enumerate(instances)}
        usable = [k for k, box in boxes.items() if box.area > 0]  # not a number is not above 0
        masked = any(instances[k].mask is not None for k in usable)
        origins = _origins(size) if masked else None
        values = {
            "image": np.ascontiguousarray(image[..., ::-1]),  # its colours are in RGB order
            "bboxes": np.asarray([boxes[k] for k in usable], np.float64).reshape(-1, 4),
            "number": usable,
        }
        done = self._run(values if origins is None else {**values, "mask": origins}, size, seed)
        look_up = None if origins is None else _LookUp.unless_equal(done["mask"], origins)
        now = Size(done["image"].shape[1], done["image"].shape[0])
        found: list[Instance] = []
        for number, corners in zip(done["number"], done["bboxes"], strict=True):
            item, box = instances[int(number)], Box(*map(float, corners))
            mask = item.mask
            if mask is None:
                found.append(item if _same(box, item.box) else replace(item, box=box))
            else:
                found += [item] if look_up is None else _followed(item, mask, size, now, look_up)
        changed = np.ascontiguousarray(np.asarray(done["image"], np.uint8)[..., ::-1])
        return Augmented(changed, tuple(found), len(instances) - len(found))

    def _run(self, values: dict[str, Any], size: Size, seed: int) -> dict[str, Any]:
        _seed(self._steps, random.Random(seed))
        try:
            done: dict[str, Any] = self._steps(**values)
        except ValueError as error:
            raise UsageError(
                f"the augmentation {self.augmentation.name!r} does not fit a picture of"
                f" {size.width}x{size.height}: {str(error).splitlines()[0]}"
            ) from error
        return done


def _same(a: Box, b: Box) -> bool:
    """Whether a box did not move: albumentations keeps boxes in 32 bits."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) < _ROUNDING


def _seed(step: Any, source: random.Random) -> None:
    """Seed every transform for itself.

    albumentations would give all of them the same seed, and those of the same probability would
    then happen together or not at all.
    """
    from albumentations import BaseCompose

    step.set_random_seed(source.getrandbits(32))
    for inner in step.transforms if isinstance(step, BaseCompose) else ():
        _seed(inner, source)


def _origins(size: Size) -> Origins:
    x = np.arange(1, size.width + 1, dtype=np.float32)
    y = np.arange(1, size.height + 1, dtype=np.float32)
    return np.stack(np.meshgrid(x, y), axis=-1)


class _LookUp:
    """Answers where pixels of the picture are now.

    Pixels of the result are sorted by the row that they came from, once for all objects, so that
    an object is looked for among those of its own rows only.
    """

    def __init__(self, origins: Origins) -> None:
        self._width = origins.shape[1]
        columns, rows = (origins[..., axis].astype(np.int32).reshape(-1) - 1 for axis in (0, 1))
        self._order = np.argsort(rows, kind="stable")
        self._columns, self._rows = columns[self._order], rows[self._order]
        last = int(self._rows[-1]) + 1 if len(rows) else 0
        self._starts = np.searchsorted(self._rows, np.arange(last + 1, dtype=np.int32))

    @classmethod
    def unless_equal(cls, moved: Origins, origins: Origins) -> _LookUp | None:
        """None when every pixel is where it was."""
        return None if np.array_equal(moved, origins) else cls(moved)

    def __call__(self, bitmap: Bitmap, left: int, top: int) -> tuple[Index, Index]:
        """Columns and rows where the pixels of a bitmap are now, whose corner is there."""
        height, width = bitmap.shape
        end = len(self._starts) - 1
        first, last = self._starts[min(top, end)], self._starts[min(top + height, end)]
        x = self._columns[first:last] - left
        inside = np.flatnonzero((x >= 0) & (x < width))
        y = self._rows[first:last][inside] - top
        hit = self._order[first:last][inside[bitmap[y, x[inside]] > 0]]
        return hit % self._width, hit // self._width


def _followed(
    item: Instance, mask: Mask, size: Size, now: Size, look_up: _LookUp
) -> list[Instance]:
    """The object where its pixels are now; nothing when none are left, or its mask is damaged."""
    try:
        columns, rows = look_up(*_drawn(mask, size))
    except ValueError:
        return []
    if not len(columns):
        return []
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    box = Box(*map(float, (left, top, right, bottom)))
    if isinstance(mask, RleMask):
        whole = np.zeros((now.height, now.width), np.uint8)
        whole[rows, columns] = 1
        return [replace(item, box=box, mask=bitmap_to_rle(whole))]
    part = np.zeros((bottom - top, right - left), np.uint8)
    part[rows - top, columns - left] = 1
    traced = outline(part)
    corner = np.asarray([left, top], np.float64)
    parts, holes = (tuple(r + corner for r in rings) for rings in (traced.parts, traced.holes))
    return [replace(item, box=box, mask=PolygonMask(parts, holes))]


def _drawn(mask: Mask, size: Size) -> tuple[Bitmap, int, int]:
    """The mask as a bitmap no larger than needed, and where its corner is."""
    if isinstance(mask, RleMask):
        return draw_mask(mask, size), 0, 0
    around = rings_box([*mask.parts, *mask.holes]).clipped(size)
    # A pixel more on every side: the drawing treats the border of its bitmap differently.
    left, top = max(floor(around.x1) - 1, 0), max(floor(around.y1) - 1, 0)
    right, bottom = min(ceil(around.x2) + 1, size.width), min(ceil(around.y2) + 1, size.height)
    moved = PolygonMask(
        tuple(ring - (left, top) for ring in mask.parts),
        tuple(ring - (left, top) for ring in mask.holes),
    )
    return draw_mask(moved, Size(right - left, bottom - top)), left, top
