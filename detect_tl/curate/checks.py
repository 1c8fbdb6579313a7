"""Checks: pure functions from a sample to findings. They neither print nor mend."""

from __future__ import annotations

from pathlib import Path

from detect_tl.core.dataset import Dataset
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress, track

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND"
# Cameras and editors append a little after the end of a JPEG, so its mark is looked for.
_TAIL = 64 * 1024


def is_truncated(path: Path) -> bool:
    """Whether a JPEG or PNG lacks its end mark; other formats are taken to be whole.

    Looks at both ends of the file only.
    """
    with path.open("rb") as stream:
        head = stream.read(4)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 64))
        tail = stream.read()
        if head.startswith(_PNG_START):
            return _PNG_END not in tail
        if not head.startswith(_JPEG_START) or tail.rstrip(b"\0").endswith(_JPEG_END):
            return False
        stream.seek(max(0, size - _TAIL))
        return _JPEG_END not in stream.read()


def drop_unusable(dataset: Dataset, report: Report, progress: Progress) -> Dataset:
    """Leave out images that were cut off, with their objects, and count them as lost."""
    samples = []
    for sample in track(progress, dataset.samples, "Checking images"):
        if is_truncated(sample.image):
            report.lost["images"] += 1
            if sample.instances:
                report.lost["objects-without-image"] += len(sample.instances)
            text = f"the image is cut off; it and its {len(sample.instances)} objects are left out"
            report.add("image.truncated", "error", text, sample.image)
        else:
            samples.append(sample)
    return Dataset(dataset.categories, tuple(samples))
