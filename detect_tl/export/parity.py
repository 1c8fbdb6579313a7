"""The parity gate: does the exported model answer as the checkpoint does, on real pictures?

Both models get the same arrays. Their raw outputs are compared, and then what a user sees: every
detection of the one must be among those of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.errors import GateError
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.export.difference import (
    anchor_difference,
    mask_difference,
    row_difference,
    unmatched,
)
from detect_tl.export.gate_images import GateImage
from detect_tl.export.half import Precision
from detect_tl.runtime.backends import Backend
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.postprocess import decode
from detect_tl.runtime.preprocess import Letterbox

Float = NDArray[np.float32]

CONFIDENCE = 0.25
"""Score from which a detection must be found by both models; the default of `predict`."""

_FLOOR = 0.05  # hidden boxes are looked for down to this score,
_HIDDEN = 3000  # and so many of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far two models may differ.

    score: of any class score, in [0, 1]; None: of no single one.
    box: of any side of a box that scores at least `RELEVANT`, in input pixels; None as for `score`.
    mask: of prototypes and coefficients, as a fraction of the largest value of the checkpoint.
    iou: overlap that two boxes, and two masks, of one object have at least.
    clear: score from which a detection of the one must be found by the other. alike: difference
    that their scores may have; None: `score`. lost: share of them that may be missing.
    """

    score: float | None
    box: float | None
    mask: float | None
    iou: float
    clear: float = CONFIDENCE
    alike: float | None = None
    lost: float = 0.0

    @property
    def likeness(self) -> float:
        """Difference of score that two detections of one object may have."""
        return next(value for value in (self.alike, self.score, 1.0) if value is not None)


_INT8 = Tolerance(score=None, box=None, mask=None, iou=0.5, clear=0.7, alike=0.6, lost=0.1)

TOLERANCES: Mapping[Precision, Tolerance] = MappingProxyType(
    {
        "fp32": Tolerance(score=1e-3, box=0.1, mask=1e-3, iou=0.99),
        "fp16": Tolerance(score=0.1, box=8.0, mask=0.05, iou=0.95),
        "int8": _INT8,
        "fp32+int8": _INT8,
    }
)
"""Set from yolo11n and yolov8n on 48 photos of COCO at 640 pixels. In fp32 the worst score was off
by 1.5e-5 and the worst box by 0.002 pixels. In fp16 the worst score was off by 0.04 and the worst
box, one that is unsure of its far side, by 4.8 pixels; 99 % of the boxes by less than 0.3.

In int8 no single anchor can be held to account: of several that see one object, another may win,
and its own score fall from 0.91 to 0.04 while the object keeps 0.95. What the user sees is judged:
of 190 clear detections 5 had no like, with mAP lower by 0.004."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParity:
    """One picture: how far apart the two models are, in the units of `Tolerance`.

    shape: (height, width) of the input.
    box: None where no box scores enough to be compared. mask: None for a detector.
    detections: of the checkpoint and of the exported model, at `CONFIDENCE`.
    clear: how many of both together are clear, see `Tolerance`. lost: those of them that the other
    model does not have.
    """

    image: str
    shape: tuple[int, int]
    score: float
    box: float | None
    mask: float | None
    detections: tuple[int, int]
    clear: int
    lost: int


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What the gate measured. `problems` is empty when it holds; `notes` are worth reading then."""

    precision: Precision
    tolerance: Tolerance
    images: tuple[ImageParity, ...]

    @property
    def score(self) -> float:
        """The largest difference of a score."""
        return max(image.score for image in self.images)

    @property
    def box(self) -> float | None:
        """The largest difference of a box, in input pixels; None where none was compared."""
        return max((i.box for i in self.images if i.box is not None), default=None)

    @property
    def mask(self) -> float | None:
        """The largest relative difference of a prototype or coefficient."""
        return max((i.mask for i in self.images if i.mask is not None), default=None)

    @property
    def clear(self) -> int:
        """Clear detections of both models."""
        return sum(image.clear for image in self.images)

    @property
    def lost(self) -> int:
        """Clear detections of the one that the other does not have."""
        return sum(image.lost for image in self.images)

    @property
    def problems(self) -> list[str]:
        """What is beyond the tolerance, the worst picture of each kind."""
        return [*_problems(self)]

    @property
    def notes(self) -> list[str]:
        """What limits the meaning of a gate that held."""
        if any(sum(image.detections) for image in self.images):
            return []
        seen = len(self.images)
        return [
            f"neither model detects anything on the {seen} pictures: only raw outputs were compared"
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "holds": not self.problems,
            "precision": self.precision,
            "tolerance": asdict(self.tolerance),
            "worst": {"score": self.score, "box": self.box, "mask": self.mask},
            "images": [asdict(image) for image in self.images],
            "problems": self.problems,
            "notes": self.notes,
        }


def measure_parity(
    reference: Backend,
    exported: Backend,
    images: Sequence[GateImage],
    precision: Precision = "fp32",
    *,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
) -> ParityReport:
    """Run both models on the same arrays and compare them.

    A model with free shapes sees every second picture in its own rectangle instead of the full
    input. Raises nothing for a difference: see `require_parity`.
    """
    allowed = tolerance or TOLERANCES[precision]
    judge = _Judge(exported, allowed)
    rows = []
    for number, image in enumerate(track(progress or Silent(), images, "Parity gate")):
        batch, boxes = judge.prepare(image, rectangle=number % 2 == 1)
        pair = reference.infer(batch), exported.infer(batch)
        rows.append(judge.compare(image.name, pair, boxes))
    return ParityReport(precision, allowed, tuple(rows))


def require_parity(report: ParityReport) -> None:
    """Raise GateError, naming the picture and the number, where a tolerance is exceeded."""
    if report.problems:
        raise GateError(
            f"the exported model answers differently: {'; '.join(report.problems)}",
            hint="Nothing was written. Try another --opset, or --precision fp32.",
        )


class _Judge:
    """Compares two answers to the same arrays."""

    def __init__(self, exported: Backend, allowed: Tolerance) -> None:
        self._spec, self._allowed = exported.spec, allowed
        self._full = Detector(exported, conf=CONFIDENCE, rect=False)
        self._cut = Detector(exported, rect=True) if exported.spec.dynamic else self._full

    def prepare(self, image: GateImage, *, rectangle: bool) -> tuple[Float, list[Letterbox]]:
        return (self._cut if rectangle else self._full).prepare([image.pixels])

    def compare(
        self, name: str, pair: tuple[list[Float], list[Float]], boxes: Sequence[Letterbox]
    ) -> ImageParity:
        spec = self._spec
        ours, theirs = _same_rows(pair) if spec.end2end else pair
        shapes = [part.shape for part in ours], [part.shape for part in theirs]
        if shapes[0] != shapes[1]:
            raise GateError(f"on {name} the checkpoint answers {shapes[0]}, the export {shapes[1]}")
        differences = row_difference if spec.end2end else anchor_difference
        score, box = differences(ours[0][0], theirs[0][0], spec)
        shown = [self._full.read(part, boxes)[0] for part in (ours, theirs)]
        return ImageParity(
            image=name,
            shape=boxes[0].target,
            score=score,
            box=box,
            mask=mask_difference(ours, theirs, spec) if spec.task == "segment" else None,
            detections=(len(shown[0]), len(shown[1])),
            clear=sum(int((found.score >= self._allowed.clear).sum()) for found in shown),
            lost=self._lost(shown[0], shown[1], theirs, boxes)
            + self._lost(shown[1], shown[0], ours, boxes),
        )

    def _lost(
        self, shown: Detections, other: Detections, raw: list[Float], boxes: Sequence[Letterbox]
    ) -> int:
        shown = shown.where(shown.score >= self._allowed.clear)
        if not len(shown):
            return 0
        plain = replace(self._spec, task="detect")
        values = raw[0][:, :, :6] if plain.end2end else raw[0][:, : 4 + plain.class_count]
        floor = max(CONFIDENCE - self._allowed.likeness, _FLOOR)
        (hidden,) = decode(
            [values], plain, boxes, conf=floor, iou=1.0, max_det=_HIDDEN, multi_label=True
        )
        allowed = self._allowed
        return unmatched(shown, other, hidden, score=allowed.likeness, iou=allowed.iou)


def _same_rows(pair: tuple[list[Float], list[Float]]) -> tuple[list[Float], list[Float]]:
    """The best rows that both end-to-end models give: a fixed graph gives as many as fit it."""
    count = min(part[0].shape[1] for part in pair)
    first, second = ([part[0][:, :count], *part[1:]] for part in pair)
    return first, second


def _problems(report: ParityReport) -> Iterator[str]:
    allowed, images = report.tolerance, report.images
    worst = max(images, key=lambda image: image.score)
    if allowed.score is not None and worst.score > allowed.score:
        yield f"on {worst.image} a score differs by {worst.score:.2g} (allowed {allowed.score:g})"
    worst = max(images, key=lambda image: image.box or 0.0)
    if allowed.box is not None and worst.box is not None and worst.box > allowed.box:
        yield f"on {worst.image} a box differs by {worst.box:.2g} px (allowed {allowed.box:g})"
    worst = max(images, key=lambda image: image.mask or 0.0)
    if allowed.mask is not None and worst.mask is not None and worst.mask > allowed.mask:
        yield f"on {worst.image} a mask differs by {worst.mask:.2g} (allowed {allowed.mask:g})"
    if allowed.score is None and not all(np.isfinite(image.score) for image in images):
        yield "a score is not a number"
    if report.lost > allowed.lost * report.clear:
        worst = max(images, key=lambda image: image.lost)
        first, second = worst.detections
        yield (
            f"on {worst.image} {worst.lost} detections have no like in the other model, which "
            f"find {first} (checkpoint) and {second} (export)"
        )
