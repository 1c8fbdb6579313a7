"""From annotations in any format to a data set folder, whole or not at all.

    data.yaml  images/<split>/…  labels/<split>/…  annotations/<split>.json
    report.json  report.html  provenance.json

The same source and options give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from detect_tl import __version__
from detect_tl.core.dataset import SPLITS, Dataset, Sample
from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.files import (
    atomic_folder,
    place_file,
    refuse_existing,
    sha256_files,
    write_json,
)
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import TASKS, Task
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.curate.checks import drop_unusable
from detect_tl.curate.dataset_checks import repeated
from detect_tl.curate.duplicates import identical_groups
from detect_tl.curate.image_checks import has_appendix
from detect_tl.curate.names import plan_names
from detect_tl.curate.repair import plan_repair
from detect_tl.curate.report import Page, write_report
from detect_tl.curate.split import SplitPlan, plan_split
from detect_tl.curate.stats import summary
from detect_tl.formats.base import Writer, format_names, load_format
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions
from detect_tl.formats.prepared import PROVENANCE, TOOL

Link = Literal["copy", "hard", "soft"]
LINKS: tuple[Link, ...] = ("copy", "hard", "soft")
DEFAULT_FORMATS = ("yolo", "coco")


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What a conversion made.

    dataset: as written, with images at their new places. report: of reading, repair and writing.
    """

    folder: Path
    dataset: Dataset
    report: Report
    task: Task
    format: str
    explanation: str
    split: SplitPlan

    @property
    def data_yaml(self) -> Path:
        return self.folder / "data.yaml"


def convert(
    source: Path,
    destination: Path,
    *,
    to: Sequence[str] = DEFAULT_FORMATS,
    reading: ReadOptions = RECOGNISE,
    split: Sequence[float] | None = None,
    seed: int = 0,
    link: Link = "copy",
    task: Task | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> ConvertResult:
    """Read annotations, mend them, divide the images and write a data set folder.

    to: names of the formats to write. reading: what is known of the source.
    split: shares of train, val and test; None honours the splits of the source.
    link: whether images are copied, hard-linked or sym-linked.
    task: "segment" writes outlines, "detect" boxes; "auto" takes what most objects have.
    Raises DataError for a source that cannot be used, UsageError for options that cannot be met
    or a destination that is not empty, MachineError when the disk is full.
    """
    progress = progress or Silent()
    writers = _writers(to)
    _check_options(source, destination, link, task)
    with progress.step(f"Reading {source.name}"):
        read = read_dataset(source, options=reading)
    chosen: Task = read.dataset.natural_task if task == "auto" else task
    plan, divided = _curate(read, chosen, split, seed, progress)
    planned = _in_order(divided, read.root, read.report)
    options = {
        "to": list(to),
        "split": list(split) if split else None,
        "seed": seed,
        "link": link,
        **reading.as_json(),
    }
    with atomic_folder(destination) as folder:
        samples = _place_images(planned, folder, link, read.report, progress)
        placed = replace(divided, samples=samples)
        for writer, write in writers.items():
            with progress.step(f"Writing {writer}"):
                write(placed, folder, read.report, chosen)
        with progress.step("Writing the report"):
            _write_reports(folder, placed, read, plan, chosen)
        write_json(folder / PROVENANCE, _provenance(source, read, chosen, options))
    dataset = _moved(placed, folder, destination)
    return ConvertResult(
        destination, dataset, read.report, chosen, read.format, read.explanation, plan
    )


def _curate(
    read: ReadResult, task: Task, split: Sequence[float] | None, seed: int, progress: Progress
) -> tuple[SplitPlan, Dataset]:
    """Leave out what cannot be used, mend what can be mended, and divide the rest."""
    usable = drop_unusable(read.dataset, read.report, progress)
    repaired = plan_repair(usable, task)
    read.report.merge(repaired.report)
    groups = identical_groups([sample.image for sample in repaired.dataset.samples])
    plan = plan_split(repaired.dataset, split, seed, groups)
    divided = plan.apply(repaired.dataset)
    read.report.add("split.plan", "info", plan.reason)
    read.report.extend(repeated(divided.samples, groups))
    return plan, divided


def _write_reports(
    folder: Path, dataset: Dataset, read: ReadResult, plan: SplitPlan, task: Task
) -> None:
    report = read.report.relative_to(read.root)
    write_json(folder / "report.json", summary(dataset, report, plan))
    title = read.root.resolve().name
    page = Page(title, task, read.format, read.explanation, plan.reason, __version__, report)
    write_report(folder / "report.html", dataset, page)


def _writers(to: Sequence[str]) -> dict[str, Writer]:
    """The functions that write the formats of these names, by their titles."""
    if not to:
        raise UsageError("no format to write was named", hint="For example --to yolo,coco.")
    writers: dict[str, Writer] = {}
    for name in to:
        chosen = load_format(name)
        if chosen.write is None:
            able = [n for n in format_names() if load_format(n).write is not None]
            raise UsageError(
                f"{chosen.title} can be read, but not written", hint=f"Known: {', '.join(able)}"
            )
        writers[chosen.title] = chosen.write
    return writers


def _check_options(source: Path, destination: Path, link: str, task: str) -> None:
    if link not in LINKS:
        raise UsageError(f"unknown way to link {link!r}", hint=did_you_mean(link, LINKS))
    if task not in (*TASKS, "auto"):
        raise UsageError(f"unknown task {task!r}", hint=did_you_mean(task, (*TASKS, "auto")))
    refuse_existing(destination)
    if source.is_dir() and source.resolve() in (
        destination.resolve(),
        *destination.resolve().parents,
    ):
        raise UsageError(
            f"the output folder {destination} lies inside the source {source}",
            hint="Name a folder outside; the next run would read it as part of the source.",
        )


def _in_order(dataset: Dataset, root: Path, report: Report) -> list[tuple[Sample, str]]:
    """Samples with the names they get, by split and name."""
    names = plan_names([s.image for s in dataset.samples], root)
    pairs = list(zip(dataset.samples, names, strict=True))
    for sample, name in pairs:
        if name != sample.image.name:
            report.changed["images-renamed"] += 1
            text = f"called {name}, because several images have the same name"
            report.add("image.renamed", "info", text, sample.image)
    return sorted(pairs, key=lambda pair: (SPLITS.index(pair[0].split or "train"), pair[1]))


def _place_images(
    planned: Sequence[tuple[Sample, str]],
    folder: Path,
    link: Link,
    report: Report,
    progress: Progress,
) -> tuple[Sample, ...]:
    samples: list[Sample] = []
    for sample, name in track(progress, planned, "Copying images"):
        target = folder / "images" / str(sample.split) / name
        if link != "copy" and has_appendix(sample.image):
            # training would write through the link into the user's own file
            report.changed["images-copied-not-linked"] += 1
            place_file(sample.image, target)
        else:
            place_file(sample.image, target, link)
        samples.append(replace(sample, image=target))
    return tuple(samples)


def _moved(dataset: Dataset, old: Path, new: Path) -> Dataset:
    samples = (replace(s, image=new / s.image.relative_to(old)) for s in dataset.samples)
    return replace(dataset, samples=tuple(samples))


def _provenance(
    source: Path, read: ReadResult, task: Task, options: dict[str, Any]
) -> dict[str, Any]:
    return {
        "tool": TOOL,
        "version": __version__,
        "source": str(source.resolve()),
        "format": read.format,
        "explanation": read.explanation,
        "task": task,
        "options": options,
        "annotations": {"files": len(read.files), "sha256": sha256_files(read.files, read.root)},
    }
