"""Checks of how classes and images are spread over the splits of the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from detect_tl.core.dataset import SPLITS
from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.snapshot import Index, Snapshot


@check("split.unassigned", "info", "Conversion puts it into train.", whole=True)
def unassigned(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Images that no split claims, though others are in splits."""
    del limits
    left = [sample for sample in snapshot.samples if sample.split is None]
    if len(left) < len(snapshot.samples):
        for sample in left:
            yield Note("is in no split, others are", sample.image, sample.image)


@check(
    "split.class-not-trained",
    "warning",
    "The model never learns it; every such object in evaluation is a miss.",
    whole=True,
)
def class_not_trained(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class with objects in val or test and none in train."""
    del limits
    counts = _per_split(snapshot)
    if "train" not in counts:
        return
    for index, name in enumerate(snapshot.names):
        held = {split: int(found[index]) for split, found in counts.items() if found[index]}
        if held and "train" not in held:
            listed = ", ".join(f"{count} in {split}" for split, count in held.items())
            yield Note(f"class {name!r} has objects only elsewhere ({listed})")


@check(
    "split.class-not-measured",
    "info",
    "No number says how well the model finds it.",
    whole=True,
)
def class_not_measured(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class with objects in train and none in val, or none in test."""
    del limits
    counts = _per_split(snapshot)
    held_out = [split for split in SPLITS[1:] if split in counts]
    for index, name in enumerate(snapshot.names):
        without = [split for split in held_out if not counts[split][index]]
        if without and "train" in counts and counts["train"][index]:
            yield Note(f"class {name!r} has no object in {' and '.join(without)}")


def _per_split(snapshot: Snapshot) -> dict[str, Index]:
    """(C,) number of objects of every class, for every split that has images."""
    there = Counter(snapshot.splits)
    splits = np.asarray(snapshot.splits, dtype=object)[snapshot.owner]
    known = (snapshot.category >= 0) & (snapshot.category < len(snapshot.names))
    return {
        split: np.bincount(
            snapshot.category[known & (splits == split)], minlength=len(snapshot.names)
        )
        for split in SPLITS
        if there[split]
    }


CHECKS = (unassigned, class_not_trained, class_not_measured)
