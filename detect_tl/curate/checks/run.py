"""Running checks: what they need is looked up once, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import reduce
from operator import or_
from pathlib import Path

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.files import find_images
from detect_tl.core.findings import Finding, Report
from detect_tl.core.geometry import Size
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.curate.checks.base import Check, Need
from detect_tl.curate.checks.image_facts import facts_of
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.registry import CRASHED, Selection
from detect_tl.curate.checks.snapshot import Snapshot, Stray, snapshot_of
from detect_tl.curate.duplicates import identical_groups
from detect_tl.formats.detect import ReadResult
from detect_tl.formats.source import split_name

ALL = Selection()


def check_dataset(
    dataset: Dataset,
    progress: Progress | None = None,
    *,
    decode: bool = True,
    limits: Limits | None = None,
    selection: Selection = ALL,
    reading: ReadResult | None = None,
) -> Report:
    """Run the checks of a selection.

    decode: whether to decode every image, on all cores, and not only look at both its ends; without
    it, images that look alike are not looked for.
    reading: how the data set was read: what was noticed then, and what else lies in its folder.
    """
    progress = progress or Silent()
    checks = selection.checks(decode=decode)
    snapshot = look_up(dataset, checks, reading, progress, decode=decode)
    report = Report()
    for each in track(progress, checks, "Checking"):
        report.extend(run_check(each, snapshot, limits or Limits()))
    return report


def run_check(each: Check, snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """What one check finds; if it fails, what it found so far and a finding that says so."""
    try:
        yield from each(snapshot, limits)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks still count
        text = f"{each.id} failed: {type(error).__name__}: {error}"
        yield Finding(CRASHED.id, CRASHED.severity, text)


def needed(checks: Sequence[Check]) -> Need:
    """What has to be known before any of these can run."""
    return reduce(or_, (each.need for each in checks), Need.NOTHING)


def look_up(
    dataset: Dataset,
    checks: Sequence[Check],
    reading: ReadResult | None,
    progress: Progress,
    *,
    decode: bool,
) -> Snapshot:
    """The data set with what these checks need to know of its images."""
    need = needed(checks)
    images = [sample.image for sample in dataset.samples]
    look = Need.FILES | Need.PIXELS
    facts = facts_of(dataset.samples, progress, decode=decode) if need & look else []
    contents: Sequence[Hashable] = ()
    strays: Sequence[Stray] = ()
    if Need.CONTENTS in need:
        unlisted = unlisted_images(dataset, reading) if reading else []
        found = contents_of(dataset, [image for image, _ in unlisted], progress)
        contents, others = found[: len(images)], found[len(images) :]
        strays = [Stray(*one, content) for one, content in zip(unlisted, others, strict=True)]
    return snapshot_of(dataset, facts, contents, turned_images(reading), strays)


def turned_images(reading: ReadResult | None) -> frozenset[Path]:
    """Images whose objects were turned with their EXIF orientation."""
    findings = reading.report.findings if reading else ()
    return frozenset(f.image for f in findings if f.code == "image.exif-rotated" and f.image)


def unlisted_images(dataset: Dataset, reading: ReadResult) -> list[tuple[Path, str]]:
    """Images that lie in the folder of a split and are no part of the data set."""
    found: list[tuple[Path, str]] = []
    for path in find_images(reading.root):
        folders = path.relative_to(reading.root).parts[:-1]
        split = next(filter(None, map(split_name, folders)), None)
        if split is not None:
            found.append((path, split))
    listed = {sample.image for sample in dataset.samples} if found else set()
    return [one for one in found if one[0] not in listed]


def contents_of(dataset: Dataset, others: Sequence[Path], progress: Progress) -> list[Hashable]:
    """A value per image, then per other file, equal for equal files.

    A file that is missing equals no other.
    """
    samples = [*dataset.samples, *(Sample(path, Size(0, 0)) for path in others)]
    found: list[Hashable] = [("missing", place) for place in range(len(samples))]
    there = [k for k, sample in enumerate(samples) if sample.image.is_file()]
    with progress.step("Comparing files"):
        groups = identical_groups(
            [samples[k].image for k in there], [samples[k].header for k in there]
        )
    for place, group in zip(there, groups, strict=True):
        found[place] = group
    return found
