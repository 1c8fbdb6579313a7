"""Measuring a model on a data set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.core.dataset import Dataset, Sample
    from detect_tl.evaluation.metrics import Metrics
    from detect_tl.evaluation.truth import Truth
    from detect_tl.runtime.backends import Backend
    from detect_tl.runtime.detector import Detector

Split = Literal["train", "val", "test", "all"]

Engine = Literal["torch", "onnxruntime"]

BATCH = 8


@dataclass(frozen=True, slots=True)
class EvalResult:
    """How good a model is on one split.

    data: what it was measured on. split: "all" where the data has no splits. engine: what ran the
    model. imgsz: (height, width) of its input in pixels. seconds: that reading and detecting took.
    """

    model: str
    data: Path
    split: Split
    engine: Engine
    imgsz: tuple[int, int]
    names: tuple[str, ...]
    seconds: float
    metrics: Metrics

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "data": str(self.data),
            "split": self.split,
            "engine": self.engine,
            "imgsz": list(self.imgsz),
            "names": list(self.names),
            "seconds": round(self.seconds, 3),
            **self.metrics.as_json(),
        }


def evaluate(
    model: str | Path,
    data: Path | None = None,
    *,
    split: Split = "val",
    from_format: str | None = None,
    imgsz: int | tuple[int, int] | None = None,
    batch: int = BATCH,
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
) -> EvalResult:
    """Measure mAP by pycocotools, the same for a checkpoint and for an exported file.

    model: run folder, .pt, .onnx or the name of weights. data: annotations in any format, or a
    dataset folder; None: what the run was trained on. Data without splits is used as a whole.
    imgsz: side of the input, or (height, width), in pixels; None: the model's own.

    Raises UsageError for a split that is not there, DataError and WeightsError for input that
    cannot be used.
    """
    from detect_tl.evaluation.predict import VALIDATION
    from detect_tl.runtime.detector import Detector

    show = progress or Silent()
    files = find_model(model, trust=trust, progress=show)
    source = _data_of(files, data)
    chosen, samples, dataset = _read(source, split, from_format, show)
    with _opened(files, imgsz, device, trust) as (backend, engine):
        started = time.perf_counter()
        detector = Detector(backend, imgsz=_sides(imgsz), **VALIDATION)
        metrics = score(detector, replace(dataset, samples=tuple(samples)), batch, show)
        seconds = time.perf_counter() - started
    return EvalResult(
        model=files.name,
        data=source,
        split=chosen,
        engine=engine,
        imgsz=detector.imgsz,
        names=detector.spec.names,
        seconds=seconds,
        metrics=metrics,
    )


def _sides(imgsz: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (imgsz, imgsz) if isinstance(imgsz, int) else imgsz


def score(detector: Detector, dataset: Dataset, batch: int, progress: Progress) -> Metrics:
    """Run a detector over all samples of a data set, and compare with their annotations."""
    from detect_tl.evaluation.coco_eval import evaluate as compare
    from detect_tl.evaluation.predict import predict_split

    masks = detector.spec.task == "segment" and dataset.has_masks
    truth = truth_of(dataset, masks=masks)
    images = [(image.id, s.image) for image, s in zip(truth.images, dataset.samples, strict=True)]
    found = predict_split(detector, images, batch=batch, progress=progress, text="Evaluating")
    return compare(truth, found, names=detector.spec.names, masks=masks)


def truth_of(dataset: Dataset, *, masks: bool) -> Truth:
    """The annotations as the evaluation wants them, images in the order of the samples."""
    from detect_tl.evaluation.truth import load_truth
    from detect_tl.formats.base import load_format

    one_split = tuple(replace(sample, split="val") for sample in dataset.samples)
    write = load_format("coco").write
    assert write is not None, "COCO is written by this package"
    with TemporaryDirectory(prefix="detect-tl-") as name:
        folder = Path(name)
        write(replace(dataset, samples=one_split), folder, Report(), "segment")
        return load_truth(folder / "annotations" / "val.json", masks=masks)


def _data_of(files: ModelFiles, data: Path | None) -> Path:
    if data is not None:
        return Path(data)
    if files.run is None:
        raise UsageError(
            "there is nothing to evaluate on: only a run folder knows its data",
            hint="Name the annotations: detect-tl eval MODEL DATA",
        )
    return files.run.dataset()


def _read(
    source: Path, split: Split, from_format: str | None, progress: Progress
) -> tuple[Split, list[Sample], Dataset]:
    """The samples to evaluate on, and what their split is called."""
    from detect_tl.formats.detect import read_dataset

    with progress.step(f"Reading {source.name}"):
        dataset = read_dataset(source, from_format=from_format).dataset
    there = sorted({sample.split for sample in dataset.samples if sample.split})
    if split == "all" or not there:
        return "all", list(dataset.samples), dataset
    samples = dataset.in_split(split)
    if not samples:
        raise DataError(
            f"there is no {split} split, only {', '.join(there)}",
            path=source,
            hint=f"Choose another one: --split {there[0]}, or --split all.",
        )
    return split, samples, dataset


@contextmanager
def _opened(
    files: ModelFiles, imgsz: int | tuple[int, int] | None, device: str, trust: bool
) -> Iterator[tuple[Backend, Engine]]:
    """The model with the engine that runs its kind of file: the checkpoint where there is one."""
    backend: Backend
    if files.checkpoint is not None:
        from detect_tl.models.torch_backend import TorchBackend
        from detect_tl.training.run import check_device

        name = torch_device(device)
        check_device(name)
        side = imgsz or files.own_imgsz(trust=trust)
        backend = TorchBackend(files.checkpoint, imgsz=side, device=name, trust=trust)
        engine: Engine = "torch"
    else:
        from detect_tl.runtime.backends import load_backend

        assert files.onnx is not None, "a model has one file or the other"
        backend, engine = load_backend(files.onnx, device=runtime_device(device)), "onnxruntime"
    try:
        yield backend, engine
    finally:
        backend.close()


def torch_device(device: str) -> str:
    """A device as torch's side calls it: "", "cpu", "mps" or a CUDA number."""
    return {"auto": "", "cuda": "0"}.get(device, device.removeprefix("cuda:"))


def runtime_device(device: str) -> str:
    """A device as the exported models' engines call it: "auto", "cpu" or "cuda"."""
    if device.isdigit() or device.startswith("cuda"):
        return "cuda"
    return device or "auto"
