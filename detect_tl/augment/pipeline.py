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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.augment.catalog import build_step
from detect_tl.augment.spec import Augmentation
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import Box, Mask, RleMask, Size, bitmap_to_rle
from detect_tl.core.images import Image
from detect_tl.core.masks import draw_mask, outline
from detect_tl.core.objects import Instance

MIN_VISIBLE = 0.1
"""An object goes when a smaller share of its box is left in the picture, or nothing of its mask."""

_ROUNDING = 1e-3

Bitmap = NDArray[np.uint8]
"""(height, width) of 0 and 1."""

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
        found: list[Instance] = []
        for number, corners in zip(done["number"], done["bboxes"], strict=True):
            item, box = instances[int(number)], Box(*map(float, corners))
            if item.mask is None:
                found.append(item if _same(box, item.box) else replace(item, box=box))
            else:
                found += [item] if look_up is None else _followed(item, size, look_up)
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
    """Answers where the pixels of a bitmap are now."""

    def __init__(self, origins: Origins) -> None:
        self._x, self._y = (np.ascontiguousarray(origins[..., axis] - 1) for axis in (0, 1))

    @classmethod
    def unless_equal(cls, moved: Origins, origins: Origins) -> _LookUp | None:
        """None when every pixel is where it was."""
        return None if np.array_equal(moved, origins) else cls(moved)

    def __call__(self, bitmap: Bitmap) -> Bitmap:
        import cv2

        found = cv2.remap(
            bitmap, self._x, self._y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT
        )
        return np.asarray(found, np.uint8)


def _followed(item: Instance, size: Size, look_up: _LookUp) -> list[Instance]:
    """The object where its pixels are now; nothing when none are left, or its mask is damaged."""
    assert item.mask is not None
    try:
        after = look_up(draw_mask(item.mask, size))
    except ValueError:
        return []
    if not after.any():
        return []
    mask: Mask = bitmap_to_rle(after) if isinstance(item.mask, RleMask) else outline(after)
    return [replace(item, box=_extent(after), mask=mask)]


def _extent(bitmap: Bitmap) -> Box:
    columns, rows = np.flatnonzero(bitmap.any(axis=0)), np.flatnonzero(bitmap.any(axis=1))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
