"""From images to what a model reads, and the way back for its boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import Size
from detect_tl.core.images import Image

GREY = 114
"""Value of the padding, the one that the models were trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image was fitted into a model's input: resized as a whole, centred, padded with grey.

    The two sides are rounded to whole pixels one by one, so each axis has a scale of its own.

    source: size of the image. target: (height, width) of the model's input.
    content: size of the resized image inside it. left, top: its corner there, in pixels.
    """

    source: Size
    target: tuple[int, int]
    content: Size
    left: int
    top: int

    @classmethod
    def fit(cls, source: Size, imgsz: tuple[int, int], stride: int = 0) -> Letterbox:
        """Plan the letterbox of an image; the rounding is that of Ultralytics' predictor.

        imgsz: (height, width) to scale into. stride: when given, the padding only reaches the next
        multiple of it that leaves half a stride to spare, for models that accept any input size.
        The shape, and the grey border on all sides that it implies, are those of Ultralytics'
        validator; objects at the edge of the image are found better with it.
        """
        height, width = imgsz
        scale = min(height / source.height, width / source.width)
        # A very thin image still keeps one pixel of each side.
        content = Size(max(round(source.width * scale), 1), max(round(source.height * scale), 1))
        if stride:
            height, width = (_up(side + stride // 2, stride) for side in reversed(content))
        left = round((width - content.width) / 2 - 0.1)
        top = round((height - content.height) / 2 - 0.1)
        return cls(source, (height, width), content, left, top)

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per image pixel, along x and along y."""
        return self.content.width / self.source.width, self.content.height / self.source.height

    def to_image(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, 4) boxes from input pixels to image pixels, cut at the border of the image."""
        width, height = self.source
        offset = np.array([self.left, self.top] * 2, np.float32)
        boxes = (xyxy - offset) / np.array(self.scale * 2, np.float32)
        return np.clip(boxes, 0, np.array([width, height] * 2, np.float32))

    def to_input(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, 4) boxes from image pixels to input pixels."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        return (xyxy * np.array(self.scale * 2, np.float32) + offset).astype(np.float32)


def preprocess(
    images: Sequence[Image], imgsz: tuple[int, int], *, stride: int = 0
) -> tuple[NDArray[np.float32], list[Letterbox]]:
    """Letterbox images into one batch.

    images: (height, width, 3) uint8 BGR each, of any size.
    imgsz: (height, width) of the model's input.
    stride: when given, and one rectangle fits all images, pad only to that, see `Letterbox.fit`.
    Returns a (batch, 3, height, width) float32 RGB array in [0, 1], and how to map back.
    """
    sizes = [_checked_size(image) for image in images]
    boxes = [Letterbox.fit(size, imgsz, stride) for size in sizes]
    if len({box.target for box in boxes}) != 1:
        boxes = [Letterbox.fit(size, imgsz) for size in sizes]
    target = boxes[0].target if boxes else imgsz
    batch = np.empty((len(images), 3, *target), np.float32)
    for image, box, out in zip(images, boxes, batch, strict=True):
        _fill(image, box, out)
    return batch, boxes


def _checked_size(image: Image) -> Size:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"need a (height, width, 3) uint8 image, got {image.shape} {image.dtype}")
    return Size(image.shape[1], image.shape[0])


def _fill(image: Image, box: Letterbox, out: NDArray[np.float32]) -> None:
    import cv2

    if box.content != box.source:
        image = np.asarray(cv2.resize(image, box.content, interpolation=cv2.INTER_LINEAR))
    right, bottom = box.left + box.content.width, box.top + box.content.height
    grey = np.float32(GREY) / np.float32(255)
    out[:, : box.top] = grey
    out[:, bottom:] = grey
    out[:, box.top : bottom, : box.left] = grey
    out[:, box.top : bottom, right:] = grey
    # Division, not multiplication by 1/255: the same bits as torch's `float() / 255`.
    for channel, plane in enumerate(cv2.split(image)):
        target = out[2 - channel, box.top : bottom, box.left : right]
        np.divide(plane, np.float32(255), out=target, dtype=np.float32)


def _up(value: int, stride: int) -> int:
    return -(-value // stride) * stride
