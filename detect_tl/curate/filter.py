"""Leaving out images and objects that are not wanted, counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import SPLITS, Dataset, Instance, Sample, renumber
from detect_tl.core.errors import DataError, UsageError, did_you_mean
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, Silent
from detect_tl.curate.folder import Recipe, Written, check_destination, origin_of, write_folder
from detect_tl.curate.split import settle_splits
from detect_tl.formats.detect import read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to stay; an empty field asks for nothing.

    classes, drop_classes: names; only these, or all but these.
    min_size: pixels that the shorter side of a box must have. Crowds are not measured.
    max_objects: images with more objects go, crowds not counted.
    splits: only these. images, drop_images: patterns of file names, or of ends of paths.
    with_objects: whether images go on which no object is, or is left.
    """

    classes: Sequence[str] = ()
    drop_classes: Sequence[str] = ()
    min_size: float = 0
    max_objects: int | None = None
    splits: Sequence[str] = ()
    images: Sequence[str] = ()
    drop_images: Sequence[str] = ()
    with_objects: bool = False

    def check(self) -> None:
        """Raise UsageError when nothing is asked for, or a split that does not exist."""
        if not self.as_json():
            raise UsageError("nothing to filter by was named", hint="For example --classes cat.")
        for split in self.splits:
            if split not in SPLITS:
                raise UsageError(f"there is no split {split!r}", hint=did_you_mean(split, SPLITS))

    def check_classes(self, names: Sequence[str]) -> None:
        """Raise UsageError for a class that does not exist."""
        for name in (*self.classes, *self.drop_classes):
            if name not in names:
                raise UsageError(f"there is no class {name!r}", hint=did_you_mean(name, names))

    def as_json(self) -> dict[str, Any]:
        """What was asked for, without the rest."""
        nothing = asdict(Wanted())
        given = ((k, v) for k, v in asdict(self).items() if v != nothing[k] and v not in ((), []))
        return {k: list(v) if isinstance(v, tuple) else v for k, v in given}


def filter_dataset(dataset: Dataset, wanted: Wanted, report: Report) -> Dataset:
    """The part of a data set that is wanted; the rest is counted as lost, by reason.

    Raises UsageError for names that do not exist, DataError when no image is left.
    """
    wanted.check()
    wanted.check_classes(dataset.names)
    kept_names = [
        name
        for name in dataset.names
        if name not in wanted.drop_classes and (not wanted.classes or name in wanted.classes)
    ]
    kept = frozenset(k for k, name in enumerate(dataset.names) if name in kept_names)
    samples = []
    for sample in dataset.samples:
        found = _filter_sample(sample, wanted, kept, report.lost)
        if found is not None:
            samples.append(found)
    if not samples:
        counted = ", ".join(f"{reason} {n}" for reason, n in sorted(report.lost.items()))
        raise DataError(f"no image is left ({counted})", hint="Ask for less.")
    return renumber(Dataset(dataset.categories, tuple(samples)), kept_names)


def _filter_sample(
    sample: Sample, wanted: Wanted, kept: frozenset[int], lost: Counter[str]
) -> Sample | None:
    """The sample with the objects that are wanted; None when it is not wanted itself."""
    items = sample.instances
    reason = _why_not(sample, wanted)
    if not reason:
        items = _filter_objects(items, wanted, kept, lost)
        reason = _why_not_now(items, wanted)
    if not reason:
        return sample if len(items) == len(sample.instances) else replace(sample, instances=items)
    lost[reason] += 1
    if items:
        lost["objects-on-images-left-out"] += len(items)
    return None


def _filter_objects(
    instances: Sequence[Instance], wanted: Wanted, kept: frozenset[int], lost: Counter[str]
) -> Sequence[Instance]:
    items: list[Instance] = []
    for item in instances:
        if item.category not in kept:
            lost["objects-of-other-classes"] += 1
        elif not item.iscrowd and min(item.box.width, item.box.height) < wanted.min_size:
            lost["objects-too-small"] += 1
        else:
            items.append(item)
    return tuple(items)


def _why_not(sample: Sample, wanted: Wanted) -> str:
    if wanted.splits and sample.split not in wanted.splits:
        return "images-of-other-splits"
    if wanted.images and not is_called(sample.image, wanted.images):
        return "images-of-other-names"
    if is_called(sample.image, wanted.drop_images):
        return "images-of-dropped-names"
    return ""


def _why_not_now(items: Sequence[Instance], wanted: Wanted) -> str:
    """Why an image goes for the objects that are left on it."""
    if wanted.with_objects and not items:
        return "images-without-objects"
    if wanted.max_objects is not None:
        single = sum(not item.iscrowd for item in items)
        if single > wanted.max_objects:
            return "images-with-too-many-objects"
    return ""


def is_called(image: Path, patterns: Sequence[str]) -> bool:
    path = image.as_posix()
    return any(fnmatchcase(image.name, p) or fnmatchcase(path, f"*/{p}") for p in patterns)


def filter_folder(
    source: Path,
    destination: Path,
    wanted: Wanted,
    *,
    recipe: Recipe | None = None,
    reading: ReadOptions = RECOGNISE,
    progress: Progress | None = None,
) -> Written:
    """Read a data set, and write the part of it that is wanted, with the splits that it has.

    Raises DataError for a source that cannot be read or of which nothing is left, UsageError for
    options that cannot be met, MachineError when the disk is full.
    """
    progress = progress or Silent()
    recipe = recipe or Recipe()
    recipe.check()
    wanted.check()
    check_destination(source, destination)
    with progress.step(f"Reading {source.name}"):
        read = read_dataset(source, options=reading)
    filtered = filter_dataset(read.dataset, wanted, read.report)
    settled, reason = settle_splits(filtered, read.report)
    options = {**recipe.as_json(), **reading.as_json(), **wanted.as_json()}
    origin = origin_of(read, source, reason, options)
    return write_folder(settled, destination, origin, read.report, recipe, progress=progress)
