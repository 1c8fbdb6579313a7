"""Running checks: what they need is looked up once, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import reduce
from operator import or_

from detect_tl.core.dataset import Dataset
from detect_tl.core.findings import Finding, Report
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.curate.checks.base import Check, Need
from detect_tl.curate.checks.image_facts import facts_of
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.registry import CRASHED, Selection
from detect_tl.curate.checks.snapshot import Snapshot, snapshot_of
from detect_tl.curate.duplicates import identical_groups

ALL = Selection()


def check_dataset(
    dataset: Dataset,
    progress: Progress | None = None,
    *,
    decode: bool = True,
    limits: Limits | None = None,
    selection: Selection = ALL,
    reading: Report | None = None,
) -> Report:
    """Run the checks of a selection.

    decode: whether to decode every image, on all cores, and not only look at both its ends; without
    it, images that look alike are not looked for.
    reading: what was noticed when the data set was read, which checks need not repeat.
    """
    progress = progress or Silent()
    checks = selection.checks(decode=decode)
    snapshot = _look_up(dataset, checks, progress, reading or Report(), decode=decode)
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


def _look_up(
    dataset: Dataset, checks: Sequence[Check], progress: Progress, reading: Report, *, decode: bool
) -> Snapshot:
    """The data set with what these checks need to know of its images."""
    need = reduce(or_, (each.need for each in checks), Need.NOTHING)
    images = [sample.image for sample in dataset.samples]
    look = Need.FILES | Need.PIXELS
    facts = facts_of(images, progress, decode=decode) if need & look else []
    contents = _contents(dataset, progress) if Need.CONTENTS in need else []
    turned = {f.image for f in reading.findings if f.code == "image.exif-rotated" and f.image}
    return snapshot_of(dataset, facts, contents, frozenset(turned))


def _contents(dataset: Dataset, progress: Progress) -> list[Hashable]:
    """A value per image, equal for equal files; a file that is missing equals no other."""
    found: list[Hashable] = [("missing", place) for place in range(len(dataset))]
    there = [k for k, sample in enumerate(dataset.samples) if sample.image.is_file()]
    with progress.step("Comparing files"):
        samples = [dataset.samples[k] for k in there]
        groups = identical_groups([s.image for s in samples], [s.header for s in samples])
    for place, group in zip(there, groups, strict=True):
        found[place] = group
    return found
