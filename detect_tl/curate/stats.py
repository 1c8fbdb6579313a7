"""Counts of a data set, by split and class."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import SPLITS, Dataset
from detect_tl.core.findings import Report


def class_table(dataset: Dataset) -> dict[str, dict[str, dict[str, int]]]:
    """`{class: {split: {"images": …, "objects": …}}}`, for the splits that have images."""
    used = {sample.split for sample in dataset.samples}
    table, starts = dataset.boxes()
    image_of = np.repeat(np.arange(len(dataset)), np.diff(starts))
    split_of = np.asarray([_place(sample.split) for sample in dataset.samples], dtype=np.int64)
    found: dict[str, dict[str, dict[str, int]]] = {name: {} for name in dataset.names}
    for place, split in enumerate(SPLITS):
        if split in used:
            inside = split_of[image_of] == place
            objects = _per_class(table.category[inside], found)
            images = _holders(image_of[inside], table.category[inside], found)
            for name, n, m in zip(found, images, objects, strict=True):
                found[name][split] = {"images": n, "objects": m}
    return found


def _place(split: str | None) -> int:
    return -1 if split is None else SPLITS.index(split)


def _per_class(categories: NDArray[np.integer[Any]], names: Sized) -> list[int]:
    counts: list[int] = np.bincount(categories, minlength=len(names)).tolist()
    return counts


def _holders(
    image_of: NDArray[np.int64], categories: NDArray[np.integer[Any]], names: Sized
) -> list[int]:
    """How many images have an object of each class."""
    count = max(len(names), 1)
    pairs = np.sort(image_of * count + categories)
    return _per_class(pairs[np.diff(pairs, prepend=-1) > 0] % count, names)


def images_per_class(dataset: Dataset) -> dict[str, int]:
    """How many images, of all splits and none, have an object of each class."""
    table, starts = dataset.boxes()
    image_of = np.repeat(np.arange(len(dataset)), np.diff(starts))
    held = _holders(image_of, table.category, dataset.names)
    return dict(zip(dataset.names, held, strict=True))


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
