"""Writing a data set folder, whole or not at all.

    data.yaml  images/<split>/…  labels/<split>/…  annotations/<split>.json
    report.json  report.html  provenance.json

The same data set and options give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from detect_tl.core.image_header import read_header
from detect_tl.core.model_spec import TASKS, Task
from detect_tl.core.parallel import spread
from detect_tl.core.progress import Progress, Silent
from detect_tl.curate.names import plan_names
from detect_tl.curate.report import Page, write_report
from detect_tl.curate.stats import summary
from detect_tl.formats.base import Format, Writer, format_names, load_format
from detect_tl.formats.detect import ReadResult
from detect_tl.formats.prepared import PROVENANCE, TOOL

Link = Literal["copy", "hard", "soft"]
LINKS: tuple[Link, ...] = ("copy", "hard", "soft")
DEFAULT_FORMATS = ("yolo", "coco")

# Images that one process puts into place at a time.
_TOGETHER = 2000
# A file, where it belongs, how it gets there, and what is added at its end.
_Placing = tuple[str, str, Link, bytes]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a folder is written.

    to: names of the formats. link: whether images are copied, hard-linked or sym-linked.
    task: "segment" writes outlines, "detect" boxes; "auto" takes what most objects have.
    model: name of the model that found the objects, where nobody has confirmed them.
    """

    to: Sequence[str] = DEFAULT_FORMATS
    link: Link = "copy"
    task: Task | Literal["auto"] = "auto"
    model: str | None = None

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

    def writers(self) -> dict[str, Writer]:
        """What writes the formats, by their titles; raises as `check` does."""
        if not self.to:
            raise UsageError("no format to write was named", hint="For example --to yolo,coco.")
        return dict(_writer(load_format(name), self.model) for name in self.to)

    def task_for(self, dataset: Dataset) -> Task:
        return dataset.natural_task if self.task == "auto" else self.task

    def as_json(self) -> dict[str, Any]:
        return {"to": list(self.to), "link": self.link}


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
class ImageEdit:
    """How the file of an image is to be written where a plain copy will not do.

    suffix: its extension, with the dot; "" keeps it. tail: bytes to add at its end.
    """

    suffix: str = ""
    tail: bytes = b""


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
    planned = _in_order(dataset, origin.root, report, edits)
    with atomic_folder(destination) as folder:
        samples = _place_images(
            planned, folder, recipe.link, report, edits=edits, progress=progress
        )
        placed = replace(dataset, samples=samples)
        for title, write in recipe.writers().items():
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
    return Written(destination, folder, placed, report, origin, task)


def _say_lost_lists(dataset: Dataset, recipe: Recipe, report: Report) -> None:
    """Only COCO can name the classes that nobody looked for in an image."""
    count = sum(bool(sample.not_exhaustive) for sample in dataset.samples)
    if count and "coco" not in recipe.to:
        report.lost["lists-of-classes-not-exhaustive"] += count


def _moved(dataset: Dataset, old: Path, new: Path) -> Dataset:
    folders = {s.image.parent for s in dataset.samples}
    places = {folder: new / folder.relative_to(old) for folder in folders}
    samples = (_at(s, places[s.image.parent] / s.image.name) for s in dataset.samples)
    return replace(dataset, samples=tuple(samples))


def _at(sample: Sample, image: Path) -> Sample:
    """The sample with its image elsewhere."""
    return Sample(
        image,
        sample.size,
        sample.instances,
        sample.split,
        sample.annotation,
        sample.header,
        sample.not_exhaustive,
    )


def _writer(chosen: Format, model: str | None) -> tuple[str, Writer]:
    if chosen.write is None:
        able = [n for n in format_names() if load_format(n).write is not None]
        raise UsageError(
            f"{chosen.title} can be read, but not written", hint=f"Known: {', '.join(able)}"
        )
    if model is None or chosen.suggest is None:
        return chosen.title, chosen.write
    suggest = chosen.suggest

    def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
        suggest(dataset, folder, report, task, model)

    return chosen.title, write


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


def _in_order(
    dataset: Dataset, root: Path, report: Report, edits: Mapping[Path, ImageEdit]
) -> list[tuple[Sample, str]]:
    """Samples with the names they get, by split and name."""
    images = [_with_suffix(s.image, edits.get(s.image)) for s in dataset.samples]
    names = plan_names(images, root)
    pairs = list(zip(dataset.samples, names, strict=True))
    for (sample, name), image in zip(pairs, images, strict=True):
        if name != image.name:
            report.changed["images-renamed"] += 1
            text = f"called {name}: its name is that of another image, or too long"
            report.add("image.renamed", "info", text, sample.image)
    return sorted(pairs, key=lambda pair: (SPLITS.index(pair[0].split or "train"), pair[1]))


def _with_suffix(image: Path, edit: ImageEdit | None) -> Path:
    return image.with_suffix(edit.suffix) if edit and edit.suffix else image


def _place_images(
    planned: Sequence[tuple[Sample, str]],
    folder: Path,
    link: Link,
    report: Report,
    *,
    edits: Mapping[Path, ImageEdit],
    progress: Progress,
) -> tuple[Sample, ...]:
    places = {split: folder / "images" / split for split in SPLITS}
    targets = [places[sample.split or "train"] / name for sample, name in planned]
    for split in {sample.split or "train" for sample, _ in planned}:
        places[split].mkdir(parents=True)
    files: list[_Placing] = []
    for (sample, _), target in zip(planned, targets, strict=True):
        tail = edits[sample.image].tail if sample.image in edits else b""
        how = link
        if link != "copy" and (tail or _appendix(sample)):
            # what is added, or training, would write through the link into the user's own file
            report.changed["images-copied-not-linked"] += 1
            how = "copy"
        files.append((str(sample.image), str(target), how, tail))
    batches = [files[k : k + _TOGETHER] for k in range(0, len(files), _TOGETHER)]
    with progress.step("Placing images", len(files)) as bar:
        for count in spread(_place, batches):
            bar.advance(count)
    return tuple(_at(sample, target) for (sample, _), target in zip(planned, targets, strict=True))


def _place(files: Sequence[_Placing]) -> int:
    """Put some files where they belong; return how many."""
    for source, target, link, tail in files:
        place_file(source, target, link)
        if tail:
            with Path(target).open("ab") as stream:
                stream.write(tail)
    return len(files)


def _appendix(sample: Sample) -> bool:
    return sample.header.appendix if sample.header else read_header(sample.image).appendix


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
