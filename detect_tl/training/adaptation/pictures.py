"""Pictures as statistics are measured on: squares without a border that no camera took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from detect_tl.core.images import Image, read_image

MOST_PICTURES = 48
"""Go through a model at once: at 640 pixels that takes about 1 GB."""

T = TypeVar("T")


def some(items: Sequence[T], count: int, seed: int) -> list[T]:
    """At most `count` of them by chance, in their order."""
    chosen = Random(seed).sample(range(len(items)), min(count, len(items)))
    return [items[place] for place in sorted(chosen)]


def as_batch(paths: Sequence[Path], imgsz: int) -> Tensor:
    """Read pictures into (n, 3, imgsz, imgsz) float32 RGB in [0, 1].

    Each is fitted into the square as a whole, and mirrored at its edges to fill it: grey borders
    would be measured too. Raises DataError for one that cannot be read.
    """
    batch = np.stack([_square(read_image(path), imgsz) for path in paths])
    return torch.from_numpy(batch.astype(np.float32) / 255)


def _square(image: Image, imgsz: int) -> Image:
    import cv2

    height, width = image.shape[:2]
    scale = imgsz / max(height, width)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)
    left, top = (imgsz - inner[0]) // 2, (imgsz - inner[1]) // 2
    sides = top, imgsz - inner[1] - top, left, imgsz - inner[0] - left
    mirrored = cv2.copyMakeBorder(small, *sides, cv2.BORDER_REFLECT)
    return np.ascontiguousarray(mirrored[..., ::-1].transpose(2, 0, 1))
