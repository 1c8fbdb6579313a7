"""The pictures of a split as a model is shown them, without a trainer around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detect_tl.core.dataset import Sample
from detect_tl.core.images import Image, read_image
from detect_tl.formats.detect import read_dataset

_GREY = 114  # what surrounds a picture that is no square, as in Ultralytics' training


class Pictures:
    """Pictures with their boxes, in the form of a data set of Ultralytics, not augmented.

    labels: of each picture its classes `cls` (N, 1) and its `bboxes` (N, 4): centre and size, as
    shares of the picture. Crowds are no objects here either.
    """

    def __init__(self, samples: Sequence[Sample], imgsz: int) -> None:
        self.samples = samples
        self._imgsz = imgsz
        self.labels = [_labels(sample) for sample in samples]

    @classmethod
    def of(cls, folder: Path, split: str, imgsz: int) -> Pictures:
        """Those of a split of a dataset folder."""
        return cls(read_dataset(folder).dataset.in_split(split), imgsz)

    def __len__(self) -> int:
        return len(self.samples)

    def load_image(self, index: int) -> tuple[Image, tuple[int, int], tuple[int, int]]:
        """A picture whose longer side is `imgsz`, its (height, width) before, and those now."""
        image = read_image(self.samples[index].image)
        height, width = image.shape[:2]
        scale = self._imgsz / max(height, width)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size != (width, height):
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return image, (height, width), (size[1], size[0])


def _labels(sample: Sample) -> dict[str, Any]:
    items = [item for item in sample.instances if not item.iscrowd]
    sides = np.tile([sample.size.width, sample.size.height], 2)
    boxes = np.array([item.box for item in items], np.float64).reshape(-1, 4) / sides
    boxes = boxes.clip(0, 1)
    low, high = boxes[:, :2], boxes[:, 2:]
    return {
        "cls": np.array([[item.category] for item in items], np.float64).reshape(-1, 1),
        "bboxes": np.concatenate([(low + high) / 2, high - low], axis=1),
    }


@dataclass(frozen=True, slots=True)
class Picture:
    """pixels: (1, 3, S, S), 0 to 1. boxes: (N, 4) xyxy in pixels. labels: (N,) classes."""

    pixels: Tensor
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


def read_picture(dataset: Any, index: int, imgsz: int) -> Picture:
    """One of a data set of Ultralytics, or of `Pictures`, on a square canvas of that side."""
    image = dataset.load_image(index)[0]
    height, width = image.shape[:2]
    canvas = np.full((imgsz, imgsz, 3), _GREY, dtype=np.uint8)
    canvas[:height, :width] = image
    label = dataset.labels[index]
    centre, size = label["bboxes"][:, :2], label["bboxes"][:, 2:]
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    pixels = torch.from_numpy(canvas[..., ::-1].transpose(2, 0, 1).copy())
    labels = label["cls"].reshape(-1).astype(np.int64)
    return Picture(pixels[None].float() / 255, boxes * np.tile([width, height], 2), labels)
