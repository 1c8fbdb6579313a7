"""Mending the list of classes: spellings of one name, names that stand for nothing."""

from __future__ import annotations

from collections.abc import Mapping

from detect_tl.core.dataset import Dataset, renumber
from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.findings import Report
from detect_tl.curate.rules import variants


def merge_variants(dataset: Dataset, report: Report) -> Dataset:
    """Merge class names that differ only in case or spaces into the most frequent spelling."""
    counts = dataset.objects_per_class()
    same: dict[str, str] = {}
    for group in variants(dataset.names):
        several = [dataset.names[index] for index in group]
        best = max(several, key=lambda name: counts[name])
        for name in several:
            if name != best:
                same[name] = best
                report.changed["classes-merged"] += 1
                text = f"class {name!r} ({counts[name]} objects) became {best!r}"
                report.add("class.case-variant", "warning", text)
    return _renamed(dataset, same)


def unite_classes(dataset: Dataset, same: Mapping[str, str], report: Report) -> Dataset:
    """Rename classes, or unite them with others, as the user asked for.

    same: for example {"Cats": "Cat"}; the new name need not exist.
    Raises UsageError for a class that does not exist.
    """
    counts = dataset.objects_per_class()
    for name, better in same.items():
        if name not in counts:
            raise UsageError(f"there is no class {name!r}", hint=did_you_mean(name, counts))
        report.changed["classes-united"] += 1
        text = f"class {name!r} ({counts[name]} objects) became {better!r}, as asked for"
        report.add("class.united", "info", text)
    return _renamed(dataset, same)


def drop_placeholders(dataset: Dataset, report: Report) -> Dataset:
    """Leave out a class without objects that only stands above all others, as their supercategory.

    Roboflow writes one; a model would spend an output on it.
    """
    counts = dataset.objects_per_class()
    others = {c.name: [o for o in dataset.categories if o is not c] for c in dataset.categories}
    dummies = [
        name
        for name, rest in others.items()
        if not counts[name] and rest and all(o.supercategory == name for o in rest)
    ]
    for name in dummies:
        report.changed["placeholder-classes-removed"] += 1
        text = f"class {name!r} only groups the others and has no objects; removed"
        report.add("class.placeholder", "warning", text)
    return renumber(dataset, [name for name in dataset.names if name not in dummies])


def _renamed(dataset: Dataset, same: Mapping[str, str]) -> Dataset:
    if not same:
        return dataset
    names = dict.fromkeys(same.get(name, name) for name in dataset.names)
    return renumber(dataset, list(names), same)
