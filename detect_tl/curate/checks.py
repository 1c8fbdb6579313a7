"""Checking a data set: every check is a pure function that yields findings.

It neither prints nor mends; `repair` does the mending, by the same rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from detect_tl.core.dataset import Category, Dataset, Sample
from detect_tl.core.findings import Finding, Report
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.curate import dataset_checks, image_checks, sample_checks

SampleCheck = Callable[[Sample, Sequence[Category]], Iterator[Finding]]
DatasetCheck = Callable[[Dataset], Iterator[Finding]]

SAMPLE_CHECKS: tuple[SampleCheck, ...] = (
    sample_checks.unknown_class,
    sample_checks.empty_annotation,
    sample_checks.inverted_box,
    sample_checks.zero_area_box,
    sample_checks.box_out_of_bounds,
    sample_checks.duplicate_box,
    sample_checks.box_off_mask,
    sample_checks.empty_outline,
)
DATASET_CHECKS: tuple[DatasetCheck, ...] = (
    dataset_checks.unused_class,
    dataset_checks.case_variant,
    dataset_checks.identical_images,
)


def check_dataset(
    dataset: Dataset, progress: Progress | None = None, *, decode: bool = True
) -> Report:
    """Run all checks.

    decode: whether to decode every image in full, on all cores, and not only look at its ends.
    """
    progress = progress or Silent()
    report = Report()
    report.extend(_check_images(dataset.samples, progress, decode=decode))
    for sample in track(progress, dataset.samples, "Checking annotations"):
        for sample_check in SAMPLE_CHECKS:
            report.extend(sample_check(sample, dataset.categories))
    for check in track(progress, DATASET_CHECKS, "Checking the whole"):
        report.extend(check(dataset))
    return report


def _check_images(
    samples: Sequence[Sample], progress: Progress, *, decode: bool
) -> Iterator[Finding]:
    look = image_checks.decoded if decode else image_checks.whole
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = pool.map(lambda sample: list(look(sample)), samples)
        for found in track(progress, results, "Decoding images", len(samples)):
            yield from found


def drop_unusable(dataset: Dataset, report: Report, progress: Progress) -> Dataset:
    """Leave out images that are missing or cut off, with their objects, counted as lost."""
    samples = []
    for sample in track(progress, dataset.samples, "Looking at images"):
        found = list(image_checks.whole(sample))
        if any(finding.severity == "error" for finding in found):
            report.lost["images"] += 1
            if sample.instances:
                report.lost["objects-without-image"] += len(sample.instances)
        else:
            samples.append(sample)
        report.extend(found)
    return Dataset(dataset.categories, tuple(samples))
