"""Counts of a data set, by split and class."""

from __future__ import annotations

from collections import Counter
from typing import Any

from detect_tl.core.dataset import SPLITS, Dataset, categories_of
from detect_tl.core.findings import Report


def class_table(dataset: Dataset) -> dict[str, dict[str, dict[str, int]]]:
    """`{class: {split: {"images": …, "objects": …}}}`, for the splits that have images."""
    images: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    objects: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    used = {sample.split for sample in dataset.samples}
    for sample in dataset.samples:
        if sample.split is not None:
            categories = categories_of(sample.instances)
            objects[sample.split].update(categories)
            images[sample.split].update(set(categories))
    return {
        name: {
            split: {"images": images[split][index], "objects": objects[split][index]}
            for split in SPLITS
            if split in used
        }
        for index, name in enumerate(dataset.names)
    }


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
