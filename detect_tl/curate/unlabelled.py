"""Which of the images that a user names can be labelled, and are not yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.image_header import read_header
from detect_tl.core.progress import Progress
from detect_tl.curate.checks import drop_unusable
from detect_tl.curate.duplicates import identical_groups

KNOWN = "images-labelled-already"
"""Under which `Report.changed` counts images that were left out for that."""


def unlabelled(
    images: Sequence[Path], labelled: Sequence[Path], report: Report, progress: Progress
) -> list[Sample]:
    """Images without objects, of those that are whole and have another content than all `labelled`.

    What is left out is counted in the report. Raises DataError when nothing is left.
    """
    found: list[Sample] = []
    for path in images:
        try:
            header = read_header(path)
        except DataError as error:
            report.lost["images"] += 1
            report.add("image.unreadable", "error", error.message, path)
        else:
            found.append(Sample(path, header.size, header=header))
    usable = drop_unusable(Dataset((), tuple(found)), report, progress).samples
    same = identical_groups([*labelled, *(sample.image for sample in usable)])
    known = set(same[: len(labelled)])
    contents = zip(usable, same[len(labelled) :], strict=True)
    left = [sample for sample, content in contents if content not in known]
    if len(left) < len(usable):
        report.changed[KNOWN] += len(usable) - len(left)
    if not left:
        why = f"{len(usable)} are labelled already, and " if usable else ""
        raise DataError(
            f"there is no image to label: of {len(images)}, {why}{len(images) - len(usable)}"
            " cannot be used",
            path=images[0] if len(images) == 1 else None,
            hint="Name others.",
        )
    return left
