"""Several data sets as one: classes united by name, images that are the same kept once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.findings import Report
from detect_tl.core.geometry import box_iou
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.core.words import listed
from detect_tl.curate.duplicates import identical_groups
from detect_tl.curate.folder import (
    Origin,
    Recipe,
    Written,
    annotations_of,
    check_destination,
    write_folder,
)
from detect_tl.curate.rules import place_of, show, variants
from detect_tl.curate.split import settle_splits
from detect_tl.formats.detect import ReadResult, read_dataset
from detect_tl.formats.options import RECOGNISE, ReadOptions

# Two accounts of one object differ by the rounding of their formats; two objects overlap less.
_SAME_OBJECT = 0.9


@dataclass(frozen=True, slots=True)
class Merged:
    """One data set out of several.

    sources: by image, the places it was found at: `{"source": …, "image": …}`.
    """

    dataset: Dataset
    report: Report
    sources: Mapping[Path, Sequence[Mapping[str, str]]]


def merge_folders(
    sources: Sequence[Path],
    destination: Path,
    *,
    same: Mapping[str, str] | None = None,
    recipe: Recipe | None = None,
    reading: ReadOptions = RECOGNISE,
    progress: Progress | None = None,
) -> Written:
    """Read data sets in any formats, and write them as one, with the splits that they have.

    same: names of classes that become another one, for example {"sedan": "car"}.
    Raises DataError for a source that cannot be read, UsageError for options that cannot be met,
    MachineError when the disk is full.
    """
    progress = progress or Silent()
    recipe = recipe or Recipe()
    recipe.check()
    if len(sources) < 2:
        raise UsageError("one data set cannot be merged", hint="Name two or more, then the result.")
    # Written out in full, so that names below the folder they share can be told apart.
    places = [source.absolute() for source in sources]
    for place in places:
        check_destination(place, destination)
    reads = [read_dataset(p, options=reading) for p in track(progress, places, "Reading")]
    merged = merge_reads(reads, places, same or {})
    settled, reason = settle_splits(merged.dataset, merged.report)
    options = {**recipe.as_json(), **reading.as_json(), "map": dict(same or {})}
    return write_folder(
        settled,
        destination,
        origin_of_several(reads, places, reason, options),
        merged.report,
        recipe,
        sources=merged.sources,
        progress=progress,
    )


def origin_of_several(
    reads: Sequence[ReadResult], places: Sequence[Path], reason: str, options: dict[str, Any]
) -> Origin:
    """The origin of a data set that was read from these places, the provenance of each in it."""
    told = [
        {
            "source": str(place.resolve()),
            "format": read.format,
            "explanation": read.explanation,
            "annotations": annotations_of(read),
        }
        for read, place in zip(reads, places, strict=True)
    ]
    root = Path(os.path.commonpath([read.root for read in reads]))
    title = " + ".join(place.name for place in places)
    formats = " + ".join(dict.fromkeys(read.format for read in reads))
    explanation = "; ".join(f"{p.name}: {r.format}" for r, p in zip(reads, places, strict=True))
    return Origin(root, title, formats, explanation, reason, {"sources": told, "options": options})


def merge_reads(
    reads: Sequence[ReadResult],
    places: Sequence[Path],
    same: Mapping[str, str],
    first: Sequence[str] = (),
) -> Merged:
    """Unite classes by name and images by content.

    first: classes that come before all others, whether a data set has them or not.
    Where two accounts of an image disagree, the data set that was named first is right, and a
    finding says so. A class that a data set does not know was not looked for in its images, see
    `Sample.not_exhaustive`. Raises UsageError when a name in `same` is that of no class.
    """
    report = Report()
    for read in reads:
        report.merge(read.report)
    index = _classes([read.dataset for read in reads], same, report, first)
    samples: list[Sample] = []
    found_at: list[Mapping[str, str]] = []
    for read, place in zip(reads, places, strict=True):
        target = [index.add(same.get(name, name)) for name in read.dataset.names]
        unknown = set(range(len(index.categories()))) - set(target)
        _say_unknown(unknown, index, read, place, report)
        for sample in read.dataset.samples:
            items = tuple(replace(i, category=target[i.category]) for i in sample.instances)
            open_ = unknown | {target[category] for category in sample.not_exhaustive}
            moved = replace(sample, instances=items, not_exhaustive=tuple(sorted(open_)))
            samples.append(moved)
            found_at.append({"source": place.name, "image": _short(sample.image, read.root)})
    keys = identical_groups([s.image for s in samples], [s.header for s in samples])
    groups = _grouped(keys)
    names = [category.name for category in index.categories()]
    united = [_unite([samples[k] for k in group], names, report) for group in groups]
    sources = {
        sample.image: [found_at[k] for k in group]
        for sample, group in zip(united, groups, strict=True)
    }
    return Merged(Dataset(index.categories(), tuple(united)), report, sources)


def _classes(
    datasets: Sequence[Dataset], same: Mapping[str, str], report: Report, first: Sequence[str]
) -> CategoryIndex:
    """The classes of all data sets, in the order in which they are first declared."""
    index = CategoryIndex(first)
    known = dict.fromkeys(name for dataset in datasets for name in dataset.names)
    for name in same:
        if name not in known:
            raise UsageError(f"no data set has a class {name!r}", hint=did_you_mean(name, known))
    for dataset in datasets:
        for category in dataset.categories:
            name = same.get(category.name, category.name)
            if name != category.name:
                report.changed["classes-renamed"] += 1
            index.add(name, category.supercategory)
    names = [category.name for category in index.categories()]
    for several in variants(names):
        listed = ", ".join(repr(names[k]) for k in several)
        text = f"{listed} differ in case or spaces only; --map would unite them"
        report.add("class.case-variant", "warning", text)
    return index


def _say_unknown(
    unknown: set[int], index: CategoryIndex, read: ReadResult, place: Path, report: Report
) -> None:
    """Say of which classes the images of a data set may show objects that are not marked."""
    if unknown:
        names = [index.categories()[k].name for k in sorted(unknown)]
        text = (
            f"{len(read.dataset)} images of {place.name} were not looked through for "
            f"{listed(names)}; what is found of it there is neither right nor wrong"
        )
        report.add("annotation.not-exhaustive", "info", text)


def _short(image: Path, root: Path) -> str:
    return image.relative_to(root).as_posix() if image.is_relative_to(root) else str(image)


def _grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    """Places of equal keys, in the order in which each key comes first."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    return list(groups.values())


def _unite(samples: Sequence[Sample], names: Sequence[str], report: Report) -> Sample:
    """One sample out of several of the same image."""
    first, *others = samples
    if not others:
        return first
    split, items = first.split, list(first.instances)
    open_ = set(first.not_exhaustive).intersection(*(other.not_exhaustive for other in others))
    for other in others:
        report.changed["images-united"] += 1
        if split and other.split and split != other.split:
            text = (
                f"the same image as {first.image.name}, which is in {split}; "
                f"this one in {other.split} went there too"
            )
            report.add("split.overlap", "warning", text, other.image)
        split = split or other.split
        _add(items, first, other, names, report)
    return replace(first, split=split, instances=tuple(items), not_exhaustive=tuple(sorted(open_)))


def _add(
    items: list[Instance], first: Sample, other: Sample, names: Sequence[str], report: Report
) -> None:
    """Add to `items` what only the other account of an image has."""
    free = list(range(len(items)))
    for item in other.instances:
        place = _twin(item, items, free)
        if place is None:
            report.changed["objects-added-to-known-images"] += 1
            items.append(item)
            continue
        free.remove(place)
        twin = items[place]
        if twin.category != item.category:
            report.lost["objects-in-conflict"] += 1
            text = (
                f"{names[item.category]} at {show(item.box)} is {names[twin.category]} in "
                f"{place_of(first).name}, which was named first; that one is kept"
            )
            where = place_of(other)
            report.add("merge.conflict", "warning", text, where, image=other.image, box=item.box)
            continue
        report.changed["objects-united"] += 1
        if twin.mask is None and item.mask is not None:
            report.changed["masks-added-to-boxes"] += 1
            items[place] = replace(twin, mask=item.mask)


def _twin(item: Instance, items: Sequence[Instance], free: Sequence[int]) -> int | None:
    """The place of the same object: the box that fits best, one of its class before others."""
    near = [
        (items[k].category == item.category, overlap, -k)
        for k in free
        if items[k].iscrowd == item.iscrowd
        and (overlap := box_iou(item.box, items[k].box)) >= _SAME_OBJECT
    ]
    return -max(near)[2] if near else None
