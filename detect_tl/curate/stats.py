"""Counts of a data set, by split and class."""

from __future__ import annotations

from typing import Any

from detect_tl.core.dataset import SPLITS, Dataset
from detect_tl.core.findings import Report


def class_table(dataset: Dataset) -> dict[str, dict[str, dict[str, int]]]:
    """`{class: {split: {"images": …, "objects": …}}}`, for the splits that have images."""
    used = [split for split in SPLITS if dataset.in_split(split)]
    table = {name: {s: {"images": 0, "objects": 0} for s in used} for name in dataset.names}
    for sample in dataset.samples:
        if sample.split is None:
            continue
        for item in sample.instances:
            table[dataset.names[item.category]][sample.split]["objects"] += 1
        for category in {item.category for item in sample.instances}:
            table[dataset.names[category]][sample.split]["images"] += 1
    return table


def split_table(dataset: Dataset) -> dict[str, dict[str, int]]:
    """`{split: {"images", "objects", "without_objects"}}`."""
    table = {}
    for split in SPLITS:
        samples = dataset.in_split(split)
        if samples:
            table[split] = {
                "images": len(samples),
                "objects": sum(len(s.instances) for s in samples),
                "without_objects": sum(not s.instances for s in samples),
            }
    return table


def summary(dataset: Dataset, report: Report, split_reason: str) -> dict[str, Any]:
    """What report.json says of a data set folder."""
    return {
        "images": len(dataset),
        "objects": sum(len(s.instances) for s in dataset.samples),
        "split_reason": split_reason,
        "splits": split_table(dataset),
        "classes": class_table(dataset),
        **report.as_json(),
    }
