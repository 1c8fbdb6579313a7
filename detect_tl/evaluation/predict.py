"""Run a detector over a split the way a benchmark wants it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError
from detect_tl.core.images import Image, read_image
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.evaluation.sheet import MAX_DETECTIONS
from detect_tl.evaluation.truth import Truth

VALIDATION: Mapping[str, Any] = MappingProxyType(
    {"conf": 0.001, "iou": 0.7, "max_det": MAX_DETECTIONS, "multi_label": True}
)
"""Settings for a detector that is to be scored, those of Ultralytics' validator: everything down to
a score of 0.001 is kept, since average precision asks for the whole curve, and a box may carry
several classes."""


class Detector(Protocol):
    """Finds objects in BGR images; whichever engine runs it."""

    def __call__(self, images: Sequence[Image]) -> Sequence[Detections]: ...


def split_images(truth: Truth, folder: Path) -> list[tuple[int, Path]]:
    """Image ids and files of a split, in the order of the truth.

    folder: what the file names of the truth are relative to. Raises DataError naming the first
    file that is missing.
    """
    found = [(image.id, folder / image.file_name) for image in truth.images]
    missing = [path for _, path in found if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(found)} images of the split are missing",
            path=missing[0],
            hint="Put them back, or convert the annotations again.",
        )
    return found


def predict_split(
    detector: Detector,
    images: Iterable[tuple[int, Path]],
    *,
    batch: int = 1,
    progress: Progress | None = None,
    text: str = "Evaluate",
) -> Iterator[tuple[int, Detections]]:
    """Yield (image id, detections) for each image, reading only `batch` of them at a time.

    Images that follow each other share a batch when they have the same size, so that each is padded
    as it would be alone. Build the detector with `VALIDATION` settings. Raises DataError for an
    unreadable image.
    """
    waiting: list[tuple[int, Image]] = []
    for image_id, path in track(progress or Silent(), list(images), text):
        image = read_image(path)
        if waiting and image.shape != waiting[0][1].shape:
            yield from _detect(detector, waiting)
            waiting = []
        waiting.append((image_id, image))
        if len(waiting) >= batch:
            yield from _detect(detector, waiting)
            waiting = []
    if waiting:
        yield from _detect(detector, waiting)


def _detect(detector: Detector, group: list[tuple[int, Image]]) -> Iterator[tuple[int, Detections]]:
    ids, images = zip(*group, strict=True)
    yield from zip(ids, detector(images), strict=True)
