"""Mending what has one right answer, and saying what was done and why.

`plan_repair` mends what training would stumble over; `convert` uses it. `plan_mending` goes further
and leaves the rest to people, with a list; `detect-tl repair` uses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.findings import Finding, Report
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.curate.checks import check_dataset
from detect_tl.curate.duplicates import identical_groups
from detect_tl.curate.mend_classes import drop_placeholders, merge_variants, unite_classes
from detect_tl.curate.mend_frames import turn_upright
from detect_tl.curate.mend_images import plan_edits
from detect_tl.curate.mend_objects import Rules, mend_objects
from detect_tl.curate.placing import ImageEdit
from detect_tl.curate.suspects import suspicious

# What is no longer true of an image once its file is written as an edit says.
_CURED = frozenset({"image.extension-lies", "image.truncated"})


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The mended data set, and the report of what was changed and lost to get there."""

    dataset: Dataset
    report: Report


@dataclass(frozen=True, slots=True)
class MendingPlan:
    """The mended data set, what its image files need, what was done, and what is left.

    edits: by image, how its file is to be written. report: what was changed and lost, and why.
    left: errors and warnings that have no one right answer.
    """

    dataset: Dataset
    edits: Mapping[Path, ImageEdit]
    report: Report
    left: Report


def plan_repair(dataset: Dataset, task: Task = "detect") -> RepairPlan:
    """Mend what training would stumble over; nothing on disk is touched.

    Class names that differ only in case or spaces become one; inverted boxes are turned right;
    boxes and polygons are clipped to the image; objects without an area go, and those that are
    there twice. For "segment", an object without a mask gets its box as outline.
    """
    report = Report()
    merged = merge_variants(dataset, report)
    names, rules = merged.names, Rules(outlines_from_boxes=task == "segment")
    samples = tuple(
        mend_objects(sample, names, rules, report) if suspect else sample
        for sample, suspect in zip(merged.samples, suspicious(merged.samples, task), strict=True)
    )
    return RepairPlan(Dataset(merged.categories, samples), report)


def plan_mending(
    dataset: Dataset, unite: Mapping[str, str] | None = None, progress: Progress | None = None
) -> MendingPlan:
    """Mend all that has one right answer; nothing on disk is touched.

    Beyond `plan_repair`: objects that only fit the picture as it is stored are turned upright,
    outlines that cross themselves become simple ones of the same area, a box that is off its mask
    is taken from it, placeholder classes go, an image that is there twice in one split, with the
    same objects, goes once, a file gets the extension of what it is, and a JPEG that lacks only
    its end mark gets one. Classes are united only as `unite` says, for example {"Cats": "Cat"}.
    Mending what is mended changes nothing.
    Raises UsageError for a class that does not exist.
    """
    progress = progress or Silent()
    report = Report()
    united = drop_placeholders(unite_classes(dataset, unite or {}, report), report)
    rules = Rules(thorough=True)
    samples = [
        mend_objects(turn_upright(sample, report), united.names, rules, report)
        for sample in track(progress, united.samples, "Mending objects")
    ]
    mended = Dataset(united.categories, _once(samples, report))
    images = [sample.image for sample in mended.samples]
    edits = dict(plan_edits(track(progress, images, "Looking at images"), report))
    left = Report()
    left.extend(
        finding
        for finding in check_dataset(mended, progress).findings
        if finding.severity != "info" and not _is_cured(finding, edits)
    )
    return MendingPlan(mended, edits, report, left)


def _is_cured(finding: Finding, edits: Mapping[Path, ImageEdit]) -> bool:
    return finding.code in _CURED and finding.path in edits


def _once(samples: list[Sample], report: Report) -> tuple[Sample, ...]:
    """Leave out an image that is there already: the same file, split and objects."""
    first: dict[object, list[Sample]] = defaultdict(list)
    kept: list[Sample] = []
    keys = identical_groups([s.image for s in samples], [s.header for s in samples])
    for sample, key in zip(samples, keys, strict=True):
        twin = next((other for other in first[key] if _alike(sample, other)), None)
        if twin is None:
            first[key].append(sample)
            kept.append(sample)
            continue
        report.lost["repeated-images"] += 1
        if sample.instances:
            report.lost["objects-on-repeated-images"] += len(sample.instances)
        text = f"the same image as {twin.image.name}, with the same objects; left out"
        report.add("image.duplicate", "warning", text, sample.image, image=sample.image)
    return tuple(kept)


def _alike(a: Sample, b: Sample) -> bool:
    return a.split == b.split and list(a.instances) == list(b.instances)
