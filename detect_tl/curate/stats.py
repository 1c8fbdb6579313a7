"""Counts of a data set, by split and class."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import gathered
from detect_tl.core.dataset import SPLITS, Dataset
from detect_tl.core.findings import Report


def class_table(dataset: Dataset) -> dict[str, dict[str, dict[str, int]]]:
    """`{class: {split: {"images": …, "objects": …}}}`, for the splits that have images."""
    used = {sample.split for sample in dataset.samples}
    table, starts = gathered([sample.instances for sample in dataset.samples], masks=False)
    image_of = np.repeat(np.arange(len(dataset)), np.diff(starts))
    split_of = np.asarray([_place(sample.split) for sample in dataset.samples], dtype=np.int64)
    found: dict[str, dict[str, dict[str, int]]] = {name: {} for name in dataset.names}
    for place, split in enumerate(SPLITS):
        if split in used:
            inside = split_of[image_of] == place
            objects = _per_class(table.category[inside], found)
            pairs = np.unique(image_of[inside] * len(found) + table.category[inside])
            images = _per_class(pairs % max(len(found), 1), found)
            for name, n, m in zip(found, images, objects, strict=True):
                found[name][split] = {"images": n, "objects": m}
    return found


def _place(split: str | None) -> int:
    return -1 if split is None else SPLITS.index(split)


def _per_class(categories: NDArray[np.integer[Any]], names: Sized) -> list[int]:
    counts: list[int] = np.bincount(categories, minlength=len(names)).tolist()
    return counts


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
