"""Measuring a model on a data set."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, Unpack

from detect_tl.api.engines import opened_model
from detect_tl.api.evidence import Evidence, write_evaluation
from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.api.reading import Reading
from detect_tl.core.errors import DataError, UsageError, did_you_mean
from detect_tl.core.files import refuse_existing
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.core.dataset import Dataset
    from detect_tl.core.model_spec import ModelSpec
    from detect_tl.evaluation.analysis import Analysis
    from detect_tl.evaluation.coco_eval import Engine
    from detect_tl.evaluation.metrics import Metrics
    from detect_tl.evaluation.pictures import Picture
    from detect_tl.evaluation.sheet import Sheet
    from detect_tl.evaluation.truth import Truth
    from detect_tl.runtime.backends import Backend
    from detect_tl.training.folder import RunFolder

Split = Literal["train", "val", "test", "all"]

_SPLITS: tuple[Split, ...] = ("train", "val", "test")


BATCH = 8


@dataclass(frozen=True, slots=True)
class EvalResult:
    """How good a model is on one split.

    data: what it was measured on. split: "all" where the data has no splits. backend: what ran the
    model. engine: what counted. imgsz: (height, width) of its input in pixels. seconds: that
    reading and detecting took. analysis: how sure the scores are and where they were lost; None
    where it was not asked for, or there is no truth.
    pictures: a few images with truth and answers, when they were asked for.
    files: what was written.
    """

    model: str
    data: Path
    split: Split
    backend: str
    engine: Engine
    imgsz: tuple[int, int]
    names: tuple[str, ...]
    seconds: float
    metrics: Metrics
    analysis: Analysis | None = None
    pictures: tuple[Picture, ...] = ()
    files: tuple[Path, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "data": str(self.data),
            "split": self.split,
            "backend": self.backend,
            "engine": self.engine,
            "imgsz": list(self.imgsz),
            "names": list(self.names),
            "seconds": round(self.seconds, 3),
            **self.metrics.as_json(),
            "analysis": self.analysis.as_json() if self.analysis else None,
            "files": [str(path) for path in self.files],
        }


def evaluate(
    model: str | Path,
    data: Path | None = None,
    *,
    split: Split | None = None,
    imgsz: int | tuple[int, int] | None = None,
    batch: int = BATCH,
    backend: str = "auto",
    device: str = "",
    trust: bool = False,
    engine: Engine = "faster-coco-eval",
    analysis: bool = True,
    resamples: int = 1000,
    seed: int = 0,
    pictures: int = 0,
    mistakes: Path | None = None,
    classes: Collection[str] | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> EvalResult:
    """Measure mAP as COCO counts it, the same for a checkpoint and for an exported file.

    model: run folder, .pt, .onnx or the name of weights. data: annotations in any format, or a
    dataset folder; None: what the run was trained on. split: None takes val, or the only one there
    is; data without splits is used as a whole.
    reading: what is known of `data`, see `Reading`.
    imgsz: side of the input, or (height, width), in pixels; None: the model's own.
    backend: what runs the model; auto: torch for a checkpoint, else the first engine that reads the
    file. Any other than torch runs a checkpoint's export, which is written when there is none.
    engine: what counts; pycocotools says the same as faster-coco-eval, more slowly.
    analysis: whether to look for intervals, thresholds and kinds of errors too; resamples, seed: of
    the bootstrap behind the intervals. pictures: how many images to give with their truth and the
    model's answers. mistakes: file for a page of mistakes. classes: those of the model's that it is
    asked for; None: all. No more than 300 objects of a picture count, of whatever class.
    out: folder for `evaluation.json`, `predictions.json` (COCO results) and `mistakes.html`; it
    appears whole or not at all. Nothing is written without it, least of all into a run.

    Raises UsageError for a split, a class or a folder `out` that cannot be used, DataError and
    WeightsError for input that cannot be used.
    """
    from detect_tl.evaluation.coco_eval import score

    show = progress or Silent()
    if out is not None:
        refuse_existing(Path(out))
    files = find_model(model, trust=trust, progress=show)
    source = files.data(data, hint="Name the annotations: detect-tl eval MODEL DATA")
    chosen, dataset = _read(source, split, reading, show)
    running = opened_model(files, backend, imgsz=imgsz, device=device, trust=trust, progress=show)
    with running as (runner, name):
        exam = _exam(dataset, runner, _sides(imgsz), classes)
        sheet, seconds = exam.timed(batch, show)
        with show.step("Scoring"):
            metrics = score(sheet, engine)
        evidence = None
        if metrics.objects and (analysis or mistakes is not None or out is not None):
            evidence = exam.evidence(files.name, sheet, resamples, seed, show)
        result = EvalResult(
            model=files.name,
            data=source,
            split=chosen,
            backend=name,
            engine=engine,
            imgsz=_sides(imgsz) or runner.spec.imgsz,
            names=runner.spec.names,
            seconds=seconds,
            metrics=metrics,
            analysis=evidence.analysis if evidence else None,
            pictures=tuple(exam.show(pictures, show)) if pictures else (),
        )
    if mistakes is not None and evidence is not None:
        evidence.write_mistakes(mistakes, show)
    if out is None:
        return result
    written = write_evaluation(Path(out), result.as_json(), sheet, evidence, show)
    return replace(result, files=written)


def pictures_of(run: RunFolder, count: int, progress: Progress) -> tuple[Picture, ...]:
    """A few val images of a run with their truth, and what its exported model answers."""
    _, dataset = _read(run.dataset(), None, {}, progress)
    exported = ModelFiles(str(run.path), None, run.onnx, run)
    with opened_model(exported) as (backend, _):
        return tuple(_exam(dataset, backend, None).show(count, progress))


def _sides(imgsz: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (imgsz, imgsz) if isinstance(imgsz, int) else imgsz


@dataclass(frozen=True, slots=True)
class _Exam:
    """A model, what it is asked, and the right answers.

    images: (id, file). imgsz: (height, width); None: the model's own. classes: ids of those that it
    is asked for; None: all.
    """

    backend: Backend
    imgsz: tuple[int, int] | None
    truth: Truth
    images: list[tuple[int, Path]]
    masks: bool
    classes: tuple[int, ...] | None = None

    def timed(self, batch: int, progress: Progress) -> tuple[Sheet, float]:
        """Let the model detect on everything, and say how many seconds that took."""
        started = time.perf_counter()
        sheet = self._answer(batch, progress)
        return sheet, time.perf_counter() - started

    def evidence(
        self, model: str, sheet: Sheet, resamples: int, seed: int, progress: Progress
    ) -> Evidence:
        with progress.step("Looking into it"):
            return Evidence.of(model, sheet, dict(self.images), resamples=resamples, seed=seed)

    def _answer(self, batch: int, progress: Progress) -> Sheet:
        from detect_tl.evaluation.predict import VALIDATION, predict_split
        from detect_tl.evaluation.sheet import make_sheet
        from detect_tl.runtime.detector import Detector

        detector = Detector(self.backend, imgsz=self.imgsz, classes=self.classes, **VALIDATION)
        found = predict_split(
            detector, self.images, batch=batch, progress=progress, text="Evaluating"
        )
        return make_sheet(self.truth, found, names=self.backend.spec.names, masks=self.masks)

    def show(self, count: int, progress: Progress) -> list[Picture]:
        """A few images as the model answers in everyday use."""
        from detect_tl.evaluation.pictures import sample_pictures
        from detect_tl.runtime.detector import Detector

        detector = Detector(self.backend, imgsz=self.imgsz)
        names = self.backend.spec.names
        return sample_pictures(
            detector, self.truth, self.images, names, count=count, progress=progress
        )


def _exam(
    dataset: Dataset,
    backend: Backend,
    imgsz: tuple[int, int] | None,
    classes: Collection[str] | None = None,
) -> _Exam:
    masks = backend.spec.task == "segment" and dataset.has_masks
    truth = truth_of(dataset, masks=masks)
    pairs = zip(truth.images, dataset.samples, strict=True)
    images = [(image.id, sample.image) for image, sample in pairs]
    asked = None if classes is None else tuple(_number(name, backend.spec) for name in classes)
    return _Exam(backend, imgsz, truth, images, masks, asked)


def _number(name: str, spec: ModelSpec) -> int:
    if name not in spec.names:
        hint = did_you_mean(name, spec.names)
        raise UsageError(f"the model knows no class {name!r} to be asked for", hint=hint)
    return spec.names.index(name)


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


def _read(
    source: Path, split: Split | None, reading: Reading, progress: Progress
) -> tuple[Split, Dataset]:
    """The data to evaluate on, and what its split is called."""
    from detect_tl.formats.detect import read_dataset
    from detect_tl.formats.options import ReadOptions

    with progress.step(f"Reading {source.name}"):
        dataset = read_dataset(source, options=ReadOptions(**reading)).dataset
    there = [name for name in _SPLITS if dataset.in_split(name)]
    if split == "all" or not there:
        return "all", dataset
    chosen = split or (there[0] if len(there) == 1 else "val")
    samples = dataset.in_split(chosen)
    if not samples:
        raise DataError(
            f"there is no {chosen} split, only {', '.join(there)}",
            path=source,
            hint=f"Choose another one: --split {there[0]}, or --split all.",
        )
    return chosen, replace(dataset, samples=tuple(samples))
