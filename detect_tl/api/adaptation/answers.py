"""What a checkpoint answers to pictures without labels: as they are, and mirrored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Box, RleMask, Size, bitmap_to_rle
from detect_tl.core.images import Image, read_image
from detect_tl.core.objects import Instance
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.runtime.detector import Detector

LEAST_SCORE = 0.05
"""What is less certain says nothing of a model, and there is much of it."""

_TOGETHER = 4  # pictures at a time, each of them twice


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """To one picture. plain, mirrored: without masks, both in the pixels of the picture.

    masks: of `plain`, row by row; None for a detector of boxes.
    """

    image: Path
    size: Size
    plain: Detections
    mirrored: Detections
    masks: tuple[RleMask, ...] | None

    @property
    def pair(self) -> tuple[Detections, Detections]:
        return self.plain, self.mirrored

    def instances(self, rows: Sequence[int]) -> list[Instance]:
        """Some of what was found, as the objects of an annotated picture."""
        return [
            Instance(
                int(self.plain.class_id[row]),
                Box(*map(float, self.plain.xyxy[row])),
                None if self.masks is None else self.masks[row],
                attributes={"score": round(float(self.plain.score[row]), 4)},
            )
            for row in rows
        ]


def ask(
    checkpoint: Path,
    images: Sequence[Path],
    *,
    imgsz: int,
    device: str,
    trust: bool,
    progress: Progress,
    text: str,
) -> list[Answers]:
    """Let a checkpoint answer to pictures, and to their mirror images.

    device: as torch's side calls it. Raises DataError for a picture that cannot be read.
    """
    from detect_tl.models.torch_backend import TorchBackend
    from detect_tl.runtime.detector import Detector

    backend = TorchBackend(checkpoint, imgsz=imgsz, device=device, trust=trust)
    answers: list[Answers] = []
    with Detector(backend, conf=LEAST_SCORE) as detector, progress.step(text, len(images)) as bar:
        for start in range(0, len(images), _TOGETHER):
            for found in _ask(detector, images[start : start + _TOGETHER]):
                answers.append(found)
                bar.advance()
    return answers


def _ask(detector: Detector, paths: Sequence[Path]) -> Iterator[Answers]:
    """Pictures that follow each other share a batch when they have the same size."""
    read = [(path, read_image(path)) for path in paths]
    for _, group in groupby(read, key=lambda pair: pair[1].shape):
        files, images = zip(*group, strict=True)
        mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
        found = detector([*images, *mirrored])
        halves = found[: len(images)], found[len(images) :]
        for file, image, plain, other in zip(files, images, *halves, strict=True):
            yield _answers(file, image, plain, other)


def _answers(file: Path, image: Image, plain: Detections, mirrored: Detections) -> Answers:
    size = Size(image.shape[1], image.shape[0])
    boxes = mirrored.xyxy.copy()
    boxes[:, [0, 2]] = size.width - mirrored.xyxy[:, [2, 0]]
    masks = None if plain.mask is None else tuple(bitmap_to_rle(mask) for mask in plain.mask)
    bare = replace(plain, mask=None)
    return Answers(file, size, bare, replace(mirrored, xyxy=boxes, mask=None), masks)
