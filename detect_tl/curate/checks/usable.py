"""Leaving out images that nothing can be learned from."""

from __future__ import annotations

from collections.abc import Iterator

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Finding, Report, Severity
from detect_tl.core.progress import Progress, track
from detect_tl.core.words import counted
from detect_tl.curate.rules import LEAST_SIDE
from detect_tl.formats.headers import HeadersAhead


def drop_unusable(dataset: Dataset, report: Report, progress: Progress) -> Dataset:
    """Leave out images that are missing or cut off, with their objects, counted as lost.

    Only both ends of a file are read.
    """
    samples = []
    ahead = HeadersAhead([s.image for s in dataset.samples if s.header is None])
    for sample in track(progress, dataset.samples, "Looking at images"):
        found = list(_look(sample, ahead))
        if any(finding.severity == "error" for finding in found):
            report.lost["images"] += 1
            if len(sample.instances):
                report.lost["objects-without-image"] += len(sample.instances)
        else:
            samples.append(sample)
        report.extend(found)
    return Dataset(dataset.categories, tuple(samples))


def _look(sample: Sample, ahead: HeadersAhead) -> Iterator[Finding]:
    try:
        header = sample.header or ahead.header(sample.image)
    except DataError as error:
        if sample.image.exists():
            yield _finding("image.unreadable", "error", error.message, sample)
        else:
            yield _finding("image.missing", "error", "the image is missing", sample)
        return
    if not header.complete:
        yield _finding("image.truncated", "error", "the image is cut off", sample)
    if min(sample.size) < LEAST_SIDE:
        w, h = sample.size
        text = f"{w}x{h} pixels; training leaves out images with a side below {LEAST_SIDE}"
        yield _finding("image.too-small", "warning", text, sample)


def _finding(code: str, severity: Severity, text: str, sample: Sample) -> Finding:
    objects = counted(len(sample.instances), "object")
    message = f"{text}; {objects} on it" if severity == "error" else text
    return Finding(code, severity, message, sample.image, None, sample.image)
