"""Images in, detections out, whichever engine runs the model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.errors import UsageError, WeightsError, did_you_mean
from detect_tl.core.images import Image
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.backends import Backend
from detect_tl.runtime.postprocess import decode
from detect_tl.runtime.preprocess import Letterbox, preprocess

USUAL_CONFIDENCE = 0.25


class Detector:
    """Preprocessing, a backend and postprocessing behind one call.

    iou, max_det, classes, multi_label, agnostic: as in `postprocess.decode`. conf: as there, or by
    the name of a class; classes that it does not name have the usual one.
    imgsz: (height, width) of the input; the model's own when None.
    rect: pad only to the image's own shape (`Letterbox.fit`), which is faster for pictures that are
    not square. None: where the model allows it, unless `imgsz` asks for one shape. Both need a
    model that accepts other sizes than its own (`ModelSpec.dynamic`).

    Raises UsageError for a setting out of range, or a size that the model does not accept.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        conf: float | Mapping[str, float] = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        classes: Collection[int] | None = None,
        multi_label: bool = False,
        agnostic: bool = False,
        imgsz: tuple[int, int] | None = None,
        rect: bool | None = None,
    ) -> None:
        spec = backend.spec
        least = confidences(conf, spec.names)
        _check_ranges(least, iou, max_det)
        _check_classes(classes, spec)
        if rect is None:
            rect = spec.dynamic and (imgsz is None or imgsz[0] == imgsz[1])
        _check_size(imgsz, rect, spec)
        self.backend = backend
        self.conf, self.iou, self.max_det = least, iou, max_det
        self.classes = None if classes is None else frozenset(classes)
        self.multi_label, self.agnostic = multi_label, agnostic
        self.imgsz, self.rect = imgsz or spec.imgsz, rect

    @property
    def spec(self) -> ModelSpec:
        return self.backend.spec

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """Detect on (height, width, 3) uint8 BGR images of any size; one result for each."""
        if not images:
            return []
        batch, letterboxes = self.prepare(images)
        return self.read(self.backend.infer(batch), letterboxes)

    def prepare(self, images: Sequence[Image]) -> tuple[NDArray[np.float32], list[Letterbox]]:
        """The batch for `backend.infer`, and how to map its boxes back."""
        return preprocess(images, self.imgsz, stride=self.spec.stride if self.rect else 0)

    def read(
        self, outputs: Sequence[NDArray[np.float32]], letterboxes: Sequence[Letterbox]
    ) -> list[Detections]:
        """Detections from what `backend.infer` gave; raise WeightsError if it cannot be that."""
        _check_outputs(outputs, self.spec)
        return decode(
            outputs,
            self.spec,
            letterboxes,
            conf=self.conf,
            iou=self.iou,
            max_det=self.max_det,
            classes=self.classes,
            multi_label=self.multi_label,
            agnostic=self.agnostic,
        )

    def close(self) -> None:
        self.backend.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def class_ids(names: Sequence[str], wanted: Collection[str | int]) -> list[int]:
    """Ids of classes given by name or by number; raise UsageError for one that is not there."""
    ids = []
    for item in wanted:
        text = str(item)
        if text in names:
            ids.append(list(names).index(text))
        elif text.isdecimal() and int(text) < len(names):
            ids.append(int(text))
        else:
            raise UsageError(f"the model has no class {text!r}", hint=did_you_mean(text, names))
    return ids


def confidences(conf: float | Mapping[str, float], names: Sequence[str]) -> float | list[float]:
    """The least confidence of every class; raise UsageError for a class that is not there."""
    if not isinstance(conf, Mapping):
        return conf
    class_ids(names, list(conf))
    return [conf.get(name, USUAL_CONFIDENCE) for name in names]


def _check_ranges(conf: float | Sequence[float], iou: float, max_det: int) -> None:
    each = [conf] if isinstance(conf, float | int) else conf
    for name, value in (*(("conf", value) for value in each), ("iou", iou)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name} is {value}", hint="It must lie between 0 and 1.")
    if max_det < 1:
        raise UsageError(f"max_det is {max_det}", hint="It must be 1 or more.")


def _check_classes(classes: Collection[int] | None, spec: ModelSpec) -> None:
    wrong = [index for index in classes or () if not 0 <= index < spec.class_count]
    if wrong:
        raise UsageError(
            f"the model has no class {wrong[0]}",
            hint=f"Its classes are numbered 0 to {spec.class_count - 1}.",
        )


def _check_size(imgsz: tuple[int, int] | None, rect: bool, spec: ModelSpec) -> None:
    fixed = f"{spec.imgsz[0]}x{spec.imgsz[1]}"
    if not spec.dynamic and (rect or imgsz not in (None, spec.imgsz)):
        raise UsageError(
            f"the model accepts {fixed} images only",
            hint="Leave the size out, or export the model with dynamic shapes.",
        )
    if imgsz and any(side < 1 or side % spec.stride for side in imgsz):
        raise UsageError(
            f"the input size {imgsz[0]}x{imgsz[1]} does not fit the model",
            hint=f"Both sides must be multiples of its stride, {spec.stride}.",
        )


def _check_outputs(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> None:
    shapes = [tuple(output.shape) for output in outputs]
    segment = spec.task == "segment"
    if len(outputs) >= 1 + segment and len(shapes[0]) == 3 and (not segment or len(shapes[1]) == 4):
        values = shapes[0][2] if spec.end2end else shapes[0][1]
        need = (6 if spec.end2end else 4 + spec.class_count) + (shapes[1][1] if segment else 0)
        if values == need:
            return
    raise WeightsError(
        f"the model answers with arrays of shape {shapes}, which do not fit a {spec.task!r} model "
        f"of {spec.class_count} classes",
        hint="Its metadata belong to another model; export it again.",
    )
