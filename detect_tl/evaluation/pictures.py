"""Pictures of a split as a person judges a detector: truth and predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Box, Ring, Size, box_ring
from detect_tl.core.images import Image, read_image
from detect_tl.core.masks import outline
from detect_tl.core.pages import class_colour, embedded_jpeg, svg_path
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.evaluation.predict import Detector
from detect_tl.evaluation.truth import Truth, truth_detections

_LONGEST = 560
_MOST_LABELS = 12  # on a picture with more objects, labels would hide it
_LETTER = 0.024  # width of a letter of a label, as a fraction of the longest side of the picture
_MATCH = 0.5


@dataclass(frozen=True, slots=True)
class Outline:
    """One object on a picture. path: of an SVG, in pixels of the image.

    x, y: where its label starts; right: where it ends instead, near the right border.
    dashed: a true object that was not found, or a prediction that matches none.
    """

    label: str
    colour: str
    path: str
    x: float
    y: float
    right: float | None
    dashed: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One image with its truth and what the model says.

    data: address of the embedded image. masked: outlines are drawn rather than boxes.
    """

    name: str
    size: Size
    data: str
    masked: bool
    truth: tuple[Outline, ...]
    predicted: tuple[Outline, ...]

    @property
    def found(self) -> int:
        return sum(not item.dashed for item in self.truth)

    @property
    def wrong(self) -> int:
        return sum(item.dashed for item in self.predicted)

    @property
    def labelled(self) -> bool:
        return max(len(self.truth), len(self.predicted)) <= _MOST_LABELS


def sample_pictures(
    detector: Detector,
    truth: Truth,
    images: Sequence[tuple[int, Path]],
    names: Sequence[str],
    *,
    count: int = 6,
    progress: Progress | None = None,
) -> list[Picture]:
    """Run the detector on `count` images with objects, spread evenly over the split.

    detector: at the settings of everyday use, not those of `VALIDATION`.
    images: (image id, file). Raises DataError for an unreadable image.
    """
    holders = {item.image_id for item in truth.objects if not item.iscrowd}
    chosen = _evenly([pair for pair in images if pair[0] in holders] or list(images), count)
    pictures = []
    for image_id, path in track(progress or Silent(), chosen, "Pictures"):
        image = read_image(path)
        (found,) = detector([image])
        known = truth_detections(truth, image_id, names)
        pictures.append(picture_of(path.name, image, known, found, names))
    return pictures


def picture_of(
    name: str, image: Image, known: Detections, found: Detections, names: Sequence[str]
) -> Picture:
    """One image with its objects and what was found."""
    size = Size(image.shape[1], image.shape[0])
    hit, right = match(known, found)
    return Picture(
        name=name,
        size=size,
        data=embedded_jpeg(image, _LONGEST),
        masked=found.mask is not None,
        truth=_outlines(known, hit, names, size, scores=False),
        predicted=_outlines(found, right, names, size, scores=True),
    )


def match(truth: Detections, found: Detections) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pair objects and predictions of one class that overlap by half, best predictions first.

    Returns which objects were found, and which predictions are right.
    """
    hit, right = np.zeros(len(truth), np.bool_), np.zeros(len(found), np.bool_)
    for row in np.argsort(-found.score, kind="stable"):
        overlap = _ious(found.xyxy[row], truth.xyxy)
        overlap[(truth.class_id != found.class_id[row]) | hit] = 0
        if len(overlap) and overlap.max() >= _MATCH:
            hit[overlap.argmax()] = right[row] = True
    return hit, right


def _ious(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _evenly(items: Sequence[tuple[int, Path]], count: int) -> list[tuple[int, Path]]:
    step = max(len(items) / count, 1.0)
    return [items[int(k * step)] for k in range(min(count, len(items)))]


def _outlines(
    objects: Detections,
    matched: NDArray[np.bool_],
    names: Sequence[str],
    size: Size,
    *,
    scores: bool,
) -> tuple[Outline, ...]:
    drawn = []
    for row, (corners, label) in enumerate(
        zip(objects.xyxy.tolist(), objects.class_id.tolist(), strict=True)
    ):
        box = Box(*corners)
        rings: tuple[Ring, ...] = (box_ring(box),)
        if objects.mask is not None and objects.mask[row].any():
            shape = outline(objects.mask[row])
            rings = (*shape.parts, *shape.holes)
        text = names[label] + (f" {objects.score[row]:.2f}" if scores else "")
        end = box.x1 + len(text) * _LETTER * max(size)
        drawn.append(
            Outline(
                label=text,
                colour=class_colour(label),
                path=svg_path(rings),
                x=round(box.x1, 1),
                y=round(box.y1, 1),
                right=round(box.x2, 1) if end > size.width else None,
                dashed=not matched[row],
            )
        )
    return tuple(drawn)
