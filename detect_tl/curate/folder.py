"""Writing a data set folder, whole or not at all.

    data.yaml  images/<split>/…  labels/<split>/…  annotations/<split>.json
    report.json  report.html  provenance.json

The same data set and options give the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from detect_tl import __version__
from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.files import atomic_folder, refuse_existing, sha256_files, write_json
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import TASKS, Task
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.shard_size import ShardSize
from detect_tl.curate.placing import LINKS, ImageEdit, Link, in_order, moved, place_images
from detect_tl.curate.report import Page, write_report
from detect_tl.curate.stats import summary
from detect_tl.formats.base import Format, Sharder, Sharding, Writer, format_names, load_format
from detect_tl.formats.detect import ReadResult
from detect_tl.formats.prepared import PROVENANCE, TOOL

DEFAULT_FORMATS = ("yolo", "coco")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a folder is written.

    to: names of the formats. link: whether images are copied, hard-linked or sym-linked.
    task: "segment" writes outlines, "detect" boxes; "auto" takes what most objects have.
    model: name of the model that found the objects, where nobody has confirmed them.
    shard_size: how large the files of formats are that hold the images too; None for their own.
    """

    to: Sequence[str] = DEFAULT_FORMATS
    link: Link = "copy"
    task: Task | Literal["auto"] = "auto"
    model: str | None = None
    shard_size: ShardSize | None = None

    def check(self) -> None:
        """Raise UsageError for a name that is not known, or a format that is not written."""
        self.writers()
        if self.link not in LINKS:
            raise UsageError(
                f"unknown way to link {self.link!r}", hint=did_you_mean(self.link, LINKS)
            )
        if self.task not in (*TASKS, "auto"):
            known = (*TASKS, "auto")
            raise UsageError(f"unknown task {self.task!r}", hint=did_you_mean(self.task, known))
        if self.link != "copy" and not self.has_images:
            raise UsageError(
                f"--link {self.link} has no effect: shards hold the images themselves",
                hint="Leave it out, or write a format beside them that needs images.",
            )
        if self.shard_size and not any(load_format(name).sharded for name in self.to):
            raise UsageError(
                "--shard-size has no effect: no format to write has shards",
                hint="Add webdataset to --to.",
            )

    @property
    def has_images(self) -> bool:
        """Whether the folder has images, and not only files that hold them."""
        return not all(load_format(name).sharded for name in self.to)

    def writers(self, sources: Mapping[Path, str] | None = None) -> dict[str, Writer]:
        """What writes the formats, by their titles; raises as `check` does.

        sources: of every image, its path in the source.
        """
        if not self.to:
            raise UsageError("no format to write was named", hint="For example --to yolo,coco.")
        size = self.shard_size or ShardSize()
        sharding = Sharding(size.images, size.size, sources or {})
        return dict(_writer(load_format(name), self.model, sharding) for name in self.to)

    def task_for(self, dataset: Dataset) -> Task:
        return dataset.natural_task if self.task == "auto" else self.task

    def as_json(self) -> dict[str, Any]:
        shards = {"shard_size": str(self.shard_size)} if self.shard_size else {}
        return {"to": list(self.to), "link": self.link, **shards}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a data set came from, as its report and its provenance tell it.

    root: what file names in the report are seen from. split_reason: why images are divided so.
    provenance: what provenance.json says beyond tool, version and task.
    facts: what report.json says beyond counts and findings.
    """

    root: Path
    title: str
    format: str
    explanation: str
    split_reason: str
    provenance: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """A data set folder that was written.

    scratch: what the folder was called while it was written.
    as_written: the data set, with images in `scratch`. report: of reading, changing and writing.
    """

    folder: Path
    scratch: Path
    as_written: Dataset
    report: Report
    origin: Origin
    task: Task

    @property
    def dataset(self) -> Dataset:
        """With images where they lie now; made when it is asked for."""
        return _moved(self.as_written, self.scratch, self.folder)

    def moved(self, old: Path, new: Path) -> Written:
        """The same after the folder `old`, in which it lies, was renamed."""
        return replace(self, folder=new / self.folder.relative_to(old))


def origin_of(
    read: ReadResult,
    source: Path,
    split_reason: str,
    options: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
) -> Origin:
    """The origin of a data set that was read from one place."""
    provenance = {
        "source": str(source.resolve()),
        "format": read.format,
        "explanation": read.explanation,
        "options": dict(options),
        "annotations": annotations_of(read),
    }
    title = read.root.resolve().name
    return Origin(
        read.root, title, read.format, read.explanation, split_reason, provenance, facts or {}
    )


def annotations_of(read: ReadResult) -> dict[str, Any]:
    """How many annotation files were read, and one hash over them all."""
    return {"files": len(read.files), "sha256": sha256_files(read.files, read.root)}


def write_folder(
    dataset: Dataset,
    destination: Path,
    origin: Origin,
    report: Report,
    recipe: Recipe,
    *,
    edits: Mapping[Path, ImageEdit] | None = None,
    sources: Mapping[Path, Any] | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write a data set, every sample of which has a split.

    report: of all that was done so far; what writing loses is added to it.
    edits: by image, what is written otherwise than it is. sources: by image, where it came from,
        for provenance.json.
    Raises UsageError when `destination` is not empty, MachineError when the disk is full.
    """
    progress = progress or Silent()
    edits = edits or {}
    task = recipe.task_for(dataset)
    planned = in_order(dataset, origin.root, report, edits)
    with atomic_folder(destination) as folder:
        link = recipe.link if recipe.has_images else None
        samples = place_images(planned, folder, link, report, edits=edits, progress=progress)
        placed = replace(dataset, samples=samples)
        origins = _origins(planned, samples, origin.root)
        for title, write in recipe.writers(origins).items():
            with progress.step(f"Writing {title}"):
                write(placed, folder, report, task)
        _say_lost_lists(placed, recipe, report)
        with progress.step("Writing the report"):
            _write_reports(folder, placed, origin, report, task)
        provenance = {"tool": TOOL, "version": __version__, "task": task, **origin.provenance}
        if sources is not None:
            provenance["images"] = {
                f"{sample.split}/{name}": sources[sample.image] for sample, name in planned
            }
        write_json(folder / PROVENANCE, provenance)
        if not recipe.has_images:
            shutil.rmtree(folder / "images")
            placed = replace(dataset, samples=tuple(sample for sample, _ in planned))
    return Written(destination, folder, placed, report, origin, task)


def _origins(
    planned: Sequence[tuple[Sample, str]], placed: Sequence[Sample], root: Path
) -> dict[Path, str]:
    """Of every image that was placed, its path as seen from the source."""
    return {
        now.image: before.image.relative_to(root).as_posix()
        for (before, _), now in zip(planned, placed, strict=True)
        if before.image.is_relative_to(root)
    }


def _say_lost_lists(dataset: Dataset, recipe: Recipe, report: Report) -> None:
    """Only COCO and shards can name the classes that nobody looked for in an image."""
    count = sum(bool(sample.not_exhaustive) for sample in dataset.samples)
    if count and not {"coco", "webdataset"}.intersection(recipe.to):
        report.lost["lists-of-classes-not-exhaustive"] += count


def _moved(dataset: Dataset, old: Path, new: Path) -> Dataset:
    """Images that lie elsewhere, since shards hold their copies, stay there."""
    folders = {s.image.parent for s in dataset.samples}
    places = {f: new / f.relative_to(old) if f.is_relative_to(old) else f for f in folders}
    samples = (moved(s, places[s.image.parent] / s.image.name) for s in dataset.samples)
    return replace(dataset, samples=tuple(samples))


def _writer(chosen: Format, model: str | None, sharding: Sharding) -> tuple[str, Writer]:
    if chosen.write is None:
        able = [n for n in format_names() if load_format(n).write is not None]
        raise UsageError(
            f"{chosen.title} can be read, but not written", hint=f"Known: {', '.join(able)}"
        )
    if chosen.sharded is not None:
        return chosen.title, partial(_write_shards, chosen.sharded, sharding)
    if model is None or chosen.suggest is None:
        return chosen.title, chosen.write
    suggest = chosen.suggest

    def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
        suggest(dataset, folder, report, task, model)

    return chosen.title, write


def _write_shards(  # noqa: PLR0917 - a writer, and what it is told beforehand
    sharder: Sharder, sharding: Sharding, dataset: Dataset, folder: Path, report: Report, task: Task
) -> None:
    sharder(dataset, folder, report, task, sharding)


def check_destination(source: Path, destination: Path) -> None:
    """Raise UsageError when `destination` is not empty, or lies inside `source`."""
    refuse_existing(destination)
    if source.is_dir() and source.resolve() in (
        destination.resolve(),
        *destination.resolve().parents,
    ):
        raise UsageError(
            f"the output folder {destination} lies inside the source {source}",
            hint="Name a folder outside; the next run would read it as part of the source.",
        )


def _write_reports(
    folder: Path, dataset: Dataset, origin: Origin, report: Report, task: Task
) -> None:
    shown = report.relative_to(origin.root)
    document = summary(dataset, shown, origin.split_reason)
    write_json(folder / "report.json", {**document, **origin.facts})
    page = Page(
        origin.title,
        task,
        origin.format,
        origin.explanation,
        origin.split_reason,
        __version__,
        shown,
        origin.root,
    )
    write_report(folder / "report.html", dataset, page)
