"""A model that looks at images: what it finds, how sure it is, and what they look like to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect_tl.api.engines import TORCH, torch_device
from detect_tl.api.model_files import ModelFiles
from detect_tl.core.dataset import Sample
from detect_tl.core.detections import Detections
from detect_tl.core.findings import Report
from detect_tl.core.images import Image, read_image
from detect_tl.core.progress import Progress, track
from detect_tl.curate.appearance import appearance
from detect_tl.curate.predicted import predicted_sample
from detect_tl.curate.ranking import LEAST_SCORE, Floats, class_doubts, in_doubt
from detect_tl.evaluation.predict import predict_split
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.preprocess import preprocess

BATCH = 8


@dataclass(frozen=True, slots=True)
class Embedding:
    """Turns images into vectors, which are near where images look alike.

    of: images of one size to (images, d). by: what it looks at, in words.
    """

    of: Callable[[Sequence[Image]], Floats]
    by: str

    def of_files(self, images: Sequence[Path], progress: Progress) -> Floats:
        """(images, d); raises DataError for an image that cannot be read."""
        if not images:
            return np.zeros((0, 0))
        shown = track(progress, images, "Looking at what is labelled")
        return np.asarray([self.of([read_image(path)])[0] for path in shown], np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a model made of images.

    samples: with the objects that it is confident of. doubts: (n, classes), see `class_doubts`.
    in_doubt: of each image, how many objects are in doubt, by class.
    features: (n, d); (0,) where no embedding was asked for.
    """

    samples: list[Sample]
    doubts: Floats
    in_doubt: list[dict[str, int]]
    features: Floats


@dataclass(slots=True)
class Looking:
    """Looks at images, a few at a time. embedding: where it is also wanted what they look like."""

    detector: Detector
    embedding: Embedding | None = None
    _features: list[NDArray[np.float64]] = field(default_factory=list)

    def at(self, images: Sequence[Sample], report: Report, progress: Progress) -> Looked:
        """Detect on images; what cannot be an annotation is counted in the report.

        Raises DataError for an image that cannot be read.
        """
        names = self.detector.spec.names
        least = np.broadcast_to(np.asarray(self.detector.conf, np.float32), len(names))
        if self.embedding is not None:  # what is doubted counts, though it is not written
            self.detector.conf = min(LEAST_SCORE, float(least.min()))
        self._features.clear()
        files = [(place, sample.image) for place, sample in enumerate(images)]
        samples, doubts, doubted = [], [], []
        for place, found in predict_split(
            self, files, batch=BATCH, progress=progress, text="Detecting"
        ):
            doubts.append(class_doubts(found, len(names)))
            doubted.append(in_doubt(found, names))
            sure = found.where(found.score > least[found.class_id])
            samples.append(predicted_sample(images[place], sure, report))
        return Looked(samples, np.asarray(doubts), doubted, np.asarray(self._features))

    def __call__(self, images: Sequence[Image]) -> Sequence[Detections]:
        if self.embedding is not None:
            self._features.extend(self.embedding.of(images))
        return self.detector(images)


def embedding(
    files: ModelFiles, engine: str, detector: Detector, device: str = "", *, trust: bool = False
) -> Embedding:
    """A checkpoint has a backbone to ask; an exported file does not let its own be seen."""
    if engine != TORCH or files.checkpoint is None:
        return Embedding(
            _appearances, "colours and edges, for an exported model hides its features"
        )
    from detect_tl.models.embedding import BackboneFeatures

    backbone = BackboneFeatures(files.checkpoint, device=torch_device(device), trust=trust)

    def features(images: Sequence[Image]) -> Floats:
        batch, _ = preprocess(images, detector.imgsz, stride=detector.spec.stride)
        return backbone(batch)

    return Embedding(features, "features of the model's backbone")


def _appearances(images: Sequence[Image]) -> Floats:
    return np.stack([appearance(image) for image in images])
