"""The accuracy gate: does the exported model find as much as the checkpoint, on labelled pictures?

Where no labels are at hand, what the checkpoint shows a user stands in for them: the export is then
measured by how well it agrees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.core.errors import GateError
from detect_tl.core.geometry import Box, Size
from detect_tl.core.image_header import read_header
from detect_tl.core.progress import Progress, Silent
from detect_tl.evaluation.coco_eval import score
from detect_tl.evaluation.metrics import Metrics
from detect_tl.evaluation.predict import VALIDATION, predict_split
from detect_tl.evaluation.sheet import Sheet, make_sheet
from detect_tl.evaluation.truth import Truth, TruthImage, TruthObject
from detect_tl.export.gate_images import evenly
from detect_tl.export.half import Precision
from detect_tl.export.parity import CONFIDENCE
from detect_tl.runtime.backends import Backend
from detect_tl.runtime.detector import Detector

Basis = Literal["labels", "checkpoint"]

MOST_IMAGES = 500
"""Of a larger split, so many images are measured on, evenly chosen."""

ALLOWED: Mapping[Precision, float] = MappingProxyType(
    {"fp32": 0.002, "fp16": 0.005, "int8": 0.01, "fp32+int8": 0.005}
)
"""mAP50-95 on labels that an export may lose against its checkpoint; where the user does not say
that it is to run in integers (fp32+int8), less."""

AGREEMENT = 0.95
"""mAP50 that an export must reach where the checkpoint's own detections stand in for labels."""

_AGREEMENT_IMAGES = 64  # whose detections are compared

_FEWEST = 0.5  # detections that an export must have for each one of the checkpoint


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pictures whose objects are known.

    split: what they are called, for example "val". images: (id, file) in the order of the truth.
    masks: whether it has masks, which are scored beside boxes if the model gives some.
    """

    split: str
    truth: Truth
    images: Sequence[tuple[int, Path]]
    masks: bool = False

    def knows(self, names: Collection[str]) -> bool:
        """Whether there is an object of one of these classes."""
        known = self.truth.names
        return any(known[o.category] in names for o in self.truth.objects if not o.iscrowd)

    def sample(self, most: int = MOST_IMAGES) -> Labelled:
        """At most so many of the images, evenly chosen."""
        kept = evenly(self.images, most)
        ids = {image_id for image_id, _ in kept}
        truth = Truth(
            self.truth.names,
            tuple(image for image in self.truth.images if image.id in ids),
            tuple(item for item in self.truth.objects if item.image_id in ids),
        )
        return Labelled(self.split, truth, kept, self.masks)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyReport:
    """What was measured; each pair is the checkpoint's value and the export's.

    basis: whose boxes were the truth. loss: largest that is allowed; of an agreement, 1 - mAP50.
    map50_95, map50, mask: the last is mAP50-95 of masks, None for boxes.
    detections: at `CONFIDENCE`.
    """

    basis: Basis
    split: str
    images: int
    objects: int
    loss: float
    map50_95: tuple[float, float]
    map50: tuple[float, float]
    mask: tuple[float, float] | None
    detections: tuple[int, int]

    @property
    def problems(self) -> list[str]:
        """What is beyond the tolerance."""
        return [*_problems(self)]

    def as_json(self) -> dict[str, Any]:
        return {
            "holds": not self.problems,
            "basis": self.basis,
            "split": self.split,
            "images": self.images,
            "objects": self.objects,
            "allowed_loss": self.loss,
            "mAP50-95": list(self.map50_95),
            "mAP50": list(self.map50),
            "mask_mAP50-95": list(self.mask) if self.mask else None,
            "detections": list(self.detections),
            "problems": self.problems,
        }


def _problems(report: AccuracyReport) -> Iterator[str]:
    before, after = report.detections
    if after < _FEWEST * before:
        yield f"it detects {after} objects where the checkpoint detects {before}"
    if report.basis == "checkpoint":
        if 1 - report.map50[1] > report.loss:
            yield (
                f"its detections agree with the checkpoint's by {report.map50[1]:.3f} (mAP50), "
                f"and {1 - report.loss:g} is needed"
            )
        return
    pairs = {"mAP50-95": report.map50_95, "mAP50-95 of masks": report.mask}
    for name, pair in pairs.items():
        if pair is not None and pair[0] - pair[1] > report.loss:
            yield (
                f"{name} on {report.split} falls from {pair[0]:.4f} to {pair[1]:.4f} "
                f"(allowed: by {report.loss:g})"
            )


class AccuracyGate:
    """Measures exports of one checkpoint; the checkpoint itself is asked once only.

    labelled: pictures with their truth. pictures: to compare detections on where there are none,
    or nothing is to be found on them. rect: pad to the pictures' own shapes, for both models.
    """

    def __init__(
        self,
        reference: Backend,
        labelled: Labelled | None,
        pictures: Sequence[Path],
        *,
        rect: bool,
        progress: Progress | None = None,
    ) -> None:
        self._show, self._rect = progress or Silent(), rect
        usable = labelled is not None and labelled.knows(reference.spec.names)
        self.basis: Basis = "labels" if usable else "checkpoint"
        text = "Accuracy of the checkpoint"
        if labelled is not None and usable:
            masks = labelled.masks and reference.spec.task == "segment"
            self._exam = replace(labelled.sample(), masks=masks)
            self._before = self._sheet(reference, self._answers(reference, self._exam, text))
        else:
            bare = _unlabelled(evenly(pictures, _AGREEMENT_IMAGES))
            answers = list(self._answers(reference, bare, text))
            self._exam = _self_labelled(bare, answers, reference.spec.names)
            self._before = self._sheet(reference, answers)

    def measure(self, exported: Backend, precision: Precision) -> AccuracyReport | None:
        """Compare an export with the checkpoint; None where there is no object to be found.

        Raises nothing for a loss: see `require_accuracy`.
        """
        exam = self._exam
        if not exam.truth.objects:
            return None
        answers = self._answers(exported, exam, "Accuracy of the export")
        sheets = self._before, self._sheet(exported, answers)
        before, after = (score(sheet) for sheet in sheets)
        first, second = (int(np.count_nonzero(sheet.found.score > CONFIDENCE)) for sheet in sheets)
        return AccuracyReport(
            basis=self.basis,
            split=exam.split,
            images=len(exam.images),
            objects=before.objects,
            loss=ALLOWED[precision] if self.basis == "labels" else 1 - AGREEMENT,
            map50_95=(before.box.map50_95 or 0.0, after.box.map50_95 or 0.0),
            map50=(before.box.map50 or 0.0, after.box.map50 or 0.0),
            mask=_mask_means(before, after),
            detections=(first, second),
        )

    def _answers(
        self, backend: Backend, exam: Labelled, text: str
    ) -> Iterator[tuple[int, Detections]]:
        detector = Detector(backend, rect=self._rect, **VALIDATION)
        found = predict_split(detector, exam.images, progress=self._show, text=text)
        return found if exam.masks else ((number, _boxes(one)) for number, one in found)

    def _sheet(self, backend: Backend, answers: Iterable[tuple[int, Detections]]) -> Sheet:
        exam = self._exam
        return make_sheet(exam.truth, answers, names=backend.spec.names, masks=exam.masks)


def _mask_means(before: Metrics, after: Metrics) -> tuple[float, float] | None:
    """mAP50-95 of masks, where they were scored."""
    if before.mask is None or after.mask is None:
        return None
    return before.mask.map50_95 or 0.0, after.mask.map50_95 or 0.0


def require_accuracy(report: AccuracyReport) -> None:
    """Raise GateError, with the numbers, where more is lost than allowed."""
    if report.problems:
        raise GateError(
            f"the exported model is worse: {'; '.join(report.problems)}",
            hint="Nothing was written. Try --precision fp16 or fp32, or more pictures to "
            "calibrate on.",
        )


def _boxes(found: Detections) -> Detections:
    """Without masks, which nobody scores and which fill the memory."""
    return Detections(found.xyxy, found.score, found.class_id)


def _unlabelled(pictures: Sequence[Path]) -> Labelled:
    """Pictures of which nothing is known but their size."""
    sizes = [read_header(path).size for path in pictures]
    images = tuple(
        TruthImage(number, path.name, Size(size.width, size.height))
        for number, (path, size) in enumerate(zip(pictures, sizes, strict=True), start=1)
    )
    pairs = [(image.id, path) for image, path in zip(images, pictures, strict=True)]
    return Labelled("pictures", Truth((), images, ()), pairs)


def _self_labelled(
    exam: Labelled, answers: Sequence[tuple[int, Detections]], names: Sequence[str]
) -> Labelled:
    """The same pictures, with what a model shows on them as their truth."""
    objects = []
    for image_id, found in answers:
        shown = found.where(found.score > CONFIDENCE)
        for xyxy, category in zip(shown.xyxy.tolist(), shown.class_id.tolist(), strict=True):
            box = Box(*xyxy)
            objects.append(TruthObject(image_id, category, box, box.area, False, None))
    truth = Truth(tuple(names), exam.truth.images, tuple(objects))
    return Labelled(exam.split, truth, exam.images)
