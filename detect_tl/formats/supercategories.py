"""What most formats have no place for: the group that a class belongs to."""

from __future__ import annotations

from detect_tl.core.dataset import Dataset
from detect_tl.core.findings import Report

LOSS = "a class has no supercategory"


def count_supercategories(dataset: Dataset, loss: str, report: Report) -> None:
    """Count those of a data set in `lost[loss]`."""
    count = sum(bool(category.supercategory) for category in dataset.categories)
    if count:
        report.lost[loss] += count
