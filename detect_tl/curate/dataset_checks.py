"""Checks that need to see all images at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.findings import Finding
from detect_tl.curate.duplicates import identical_groups


def unused_class(dataset: Dataset) -> Iterator[Finding]:
    """A class that is declared and has no object: the model spends an output on it."""
    used = {item.category for item in dataset.instances()}
    for index, name in enumerate(dataset.names):
        if index not in used:
            yield Finding("class.unused", "info", f"class {name!r} has no object")


def case_variant(dataset: Dataset) -> Iterator[Finding]:
    """Class names that differ in case or spaces only; conversion merges them."""
    counts = Counter(item.category for item in dataset.instances())
    for several in variants(dataset.names):
        listed = ", ".join(f"{dataset.names[k]!r} ({counts[k]} objects)" for k in several)
        text = f"{listed} differ in case or spaces only"
        yield Finding("class.case-variant", "warning", text)


def variants(names: list[str]) -> list[list[int]]:
    """Groups of names, by index, that differ in case or spaces only."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[" ".join(name.casefold().split())].append(index)
    return [group for group in groups.values() if len(group) > 1]


def identical_images(dataset: Dataset) -> Iterator[Finding]:
    """The same image, byte for byte, more than once; across splits it makes scores too good."""
    there = [sample for sample in dataset.samples if sample.image.is_file()]
    yield from repeated(there, identical_groups([sample.image for sample in there]))


def repeated(samples: Sequence[Sample], keys: Sequence[Hashable]) -> Iterator[Finding]:
    """A finding for every key that several samples share."""
    groups: dict[Hashable, list[Sample]] = defaultdict(list)
    for sample, key in zip(samples, keys, strict=True):
        groups[key].append(sample)
    for first, *others in (group for group in groups.values() if len(group) > 1):
        splits = {sample.split for sample in (first, *others)}
        if len(splits) > 1:
            where = ", ".join(f"{s.image.name} in {s.split}" for s in (first, *others))
            text = f"the same image is in several splits ({where}); scores will be too good"
            yield Finding("split.leak", "error", text, first.image)
        else:
            text = f"the same image as {', '.join(s.image.name for s in others)}"
            yield Finding("image.duplicate", "warning", text, first.image)
