"""Predictions as annotations to be corrected; of the images that teach most, if so asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from detect_tl.api.engines import opened_model
from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.api.prediction import best_confidences
from detect_tl.core.errors import UsageError
from detect_tl.core.files import atomic_folder, sha256_file
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.api.ordering import Order
    from detect_tl.core.dataset import Dataset, Sample
    from detect_tl.curate.folder import Origin, Recipe
    from detect_tl.curate.placing import Link

RANKING = "ranking.csv"


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The folder of annotations that was written.

    model: that found the objects. backend: what ran it. dataset: images, where they came from, with
    their objects. order: of all images, where it was asked for. opening: by the title of each
    format, how its tool opens the folder. report: what was left out or lost.
    """

    folder: Path
    model: str
    backend: str
    dataset: Dataset
    order: Order | None
    opening: dict[str, str]
    report: Report

    @property
    def images(self) -> int:
        return len(self.dataset)

    @property
    def without(self) -> int:
        """On how many images nothing was found."""
        return sum(not sample.instances for sample in self.dataset.samples)

    @property
    def objects(self) -> dict[str, int]:
        """Number of objects by class, zeros included."""
        return self.dataset.objects_per_class()

    @property
    def ranking(self) -> Path | None:
        """The table of all images in their order."""
        return self.folder / RANKING if self.order is not None else None

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "model": self.model,
            "backend": self.backend,
            "images": self.images,
            "images_without_objects": self.without,
            "objects_per_class": self.objects,
            "images_ranked": None if self.order is None else len(self.order),
            "ranked_by": None if self.order is None else self.order.by,
            "ranking": str(self.ranking) if self.ranking else None,
            "opening": self.opening,
            "report": self.report.as_json(),
        }


def label(
    model: str | Path,
    images: str | Path,
    *,
    out: str | Path = "labels",
    to: Sequence[str] = ("labelme",),
    conf: float | Mapping[str, float] | Literal["auto"] = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    classes: Collection[str | int] | None = None,
    limit: int | None = None,
    rank: bool = False,
    labelled: str | Path | None = None,
    link: Link = "copy",
    imgsz: int | tuple[int, int] | None = None,
    backend: str = "auto",
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
) -> LabelResult:
    """Write what a model finds as annotations to be corrected.

    model: run folder, .pt, .onnx or the name of weights. images: an image, a folder, a pattern, or
    a .txt list of those. out: folder for images, annotations, report and provenance, and
    `ranking.csv` with `rank`; it appears whole or not at all. to: formats that are written.
    conf: "auto" takes the best threshold of every class that the run keeps. conf, iou, max_det,
    classes: as for `predict`. Masks become outlines of few corners.
    rank: order the images by what a label would teach, see `detect_tl.curate.ranking`. limit: label
    only so many, the first in that order, or else of their names.
    labelled: annotations, in any format, of images that have labels already. Those of `images` with
    the same content are left out; with `rank`, what looks like them teaches less.
    backend: what runs the model; auto: torch for a checkpoint, else the first that reads the file.

    Raises UsageError for a setting or a folder `out` that cannot be used, DataError and
    WeightsError for input that cannot be used, MachineError when the disk is full.
    """
    from detect_tl.api.looking import Looking, embedding
    from detect_tl.api.ordering import Order
    from detect_tl.core.dataset import Category, Dataset
    from detect_tl.curate.folder import Recipe, check_destination
    from detect_tl.runtime.config import DetectorConfig
    from detect_tl.runtime.opening import make_detector

    show, folder, report = progress or Silent(), Path(out), Report()
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}", hint="It must be 1 or more.")
    recipe = Recipe(to, link)
    recipe.check()
    check_destination(Path(images), folder)
    waiting, done = _images(images, labelled, report, show)
    files = find_model(model, trust=trust, progress=show)
    least = best_confidences(files) if conf == "auto" else conf
    sides = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    asked = DetectorConfig(conf=least, iou=iou, max_det=max_det, classes=classes, imgsz=sides)
    running = opened_model(files, backend, imgsz=imgsz, device=device, trust=trust, progress=show)
    order = None
    with running as (runner, engine):
        looking = Looking(make_detector(runner, asked))
        if rank:
            looking.embedding = embedding(files, engine, looking.detector, device, trust=trust)
            order = Order.of(looking, waiting, done, report, show)
            samples = order.best(limit)
        else:
            samples = looking.at(waiting[:limit], report, show).samples
        spec = runner.spec
    dataset = Dataset(tuple(map(Category, spec.names)), tuple(samples))
    said = {"conf": conf, "iou": iou, "max_det": max_det, "limit": limit, "rank": rank}
    origin = _origin(images, files, {**said, **recipe.as_json()}, samples)
    recipe = replace(recipe, task=spec.task, model=Path(files.name).name)
    _write(folder, dataset, origin, recipe, order=order, report=report, progress=show)
    opening = _opening(to, folder.absolute())
    return LabelResult(folder, files.name, engine, dataset, order, opening, report)


def _write(
    folder: Path,
    dataset: Dataset,
    origin: Origin,
    recipe: Recipe,
    *,
    order: Order | None,
    report: Report,
    progress: Progress,
) -> None:
    """The folder of annotations, with the table of the order beside them, whole or not at all."""
    from detect_tl.curate.folder import write_folder

    sources = {sample.image: str(sample.image) for sample in dataset.samples}
    with atomic_folder(folder) as scratch:
        write_folder(dataset, scratch, origin, report, recipe, sources=sources, progress=progress)
        if order is not None:
            order.write(scratch / RANKING)


def _images(
    images: str | Path, labelled: str | Path | None, report: Report, progress: Progress
) -> tuple[list[Sample], list[Path]]:
    """The images that wait for labels, and those that have some."""
    from detect_tl.curate.unlabelled import unlabelled
    from detect_tl.formats.detect import read_dataset
    from detect_tl.runtime.stills import list_stills

    found, done = list_stills(images), []
    if labelled is not None:
        with progress.step(f"Reading {Path(labelled).name}"):
            done = [sample.image for sample in read_dataset(Path(labelled)).dataset.samples]
    return unlabelled(found, done, report, progress), done


def _origin(
    images: str | Path, files: ModelFiles, options: Mapping[str, Any], samples: Sequence[Sample]
) -> Origin:
    """What report and provenance say of where the annotations come from."""
    from detect_tl.curate.folder import Origin

    weights = files.checkpoint or files.onnx
    assert weights is not None, "a model has one of the two"
    return Origin(
        root=Path(commonpath([sample.image.parent for sample in samples])),
        title=Path(images).name or str(images),
        format="predictions",
        explanation=f"found by {files.name}; nobody has looked at them yet",
        split_reason="not divided: all are in train",
        provenance={
            "source": str(images),
            "model": files.name,
            "model_sha256": sha256_file(weights),
            "options": dict(options),
        },
    )


def _opening(to: Sequence[str], folder: Path) -> dict[str, str]:
    from detect_tl.formats.base import load_format

    formats = [load_format(name) for name in to]
    return {f.title: f.opening.format(folder=folder) for f in formats if f.opening}
