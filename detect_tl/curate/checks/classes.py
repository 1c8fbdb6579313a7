"""Checks of the classes, and of how many objects each has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from detect_tl.core.words import counted
from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.objects import notes_at
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.checks.spelling import one_letter_apart, singular
from detect_tl.curate.rules import variants


@check("class.unknown", "error", "Ultralytics drops the whole image, with all objects on it.")
def unknown(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An object of a class that is not declared."""
    del limits
    flagged = (snapshot.category < 0) | (snapshot.category >= len(snapshot.names))
    yield from notes_at(
        snapshot, flagged, lambda row: f"class {snapshot.category[row]} is not declared"
    )


@check(
    "class.unused",
    "info",
    "The model has an output for it that it never learns to use.",
    whole=True,
)
def unused(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class that is declared and has no object."""
    del limits
    for name, count in zip(snapshot.names, snapshot.per_class.tolist(), strict=True):
        if not count:
            yield Note(f"class {name!r} has no object")


@check(
    "class.duplicate", "error", "One class is taught as two, which exclude each other.", whole=True
)
def duplicate(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class that is declared twice under one name."""
    del limits
    for name, times in Counter(snapshot.names).items():
        if times > 1:
            yield Note(f"class {name!r} is declared {times} times")


@check("class.nameless", "warning", "Nobody can tell what the model has found.", whole=True)
def nameless(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class without a name."""
    del limits
    for index, name in enumerate(snapshot.names):
        if not name.strip():
            yield Note(
                f"class {index} has no name ({counted(int(snapshot.per_class[index]), 'object')})"
            )


@check(
    "class.case-variant",
    "warning",
    "One class is taught as two. Conversion merges them.",
    whole=True,
)
def case_variant(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Class names that differ in case or spaces only."""
    del limits
    for group in variants(snapshot.names):
        if len({snapshot.names[index] for index in group}) > 1:
            yield Note(f"{_counted(snapshot, group)} differ in case or spaces only")


@check(
    "class.similar",
    "warning",
    "If they mean the same, one class is taught as two, which exclude each other.",
    "typo",
    whole=True,
)
def similar(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Class names that may be one: a plural, other separators, or a slip of the finger."""
    told = {frozenset(group) for group in variants(snapshot.names)}
    stems: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(snapshot.names):
        stems[singular(name)].append(index)
    for group in stems.values():
        if len(group) > 1 and frozenset(group) not in told:
            yield Note(f"{_counted(snapshot, group)} may be one class")
    for a, b in one_letter_apart(snapshot.names):
        few, many = sorted(snapshot.per_class[[a, b]].tolist())
        if many and few <= limits.typo * many:
            yield Note(f"{_counted(snapshot, [a, b])} differ by one letter")


@check(
    "class.few",
    "warning",
    "Too few to learn the class from, and to measure it by.",
    "few",
    whole=True,
)
def few(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class with very few objects."""
    for name, count in zip(snapshot.names, snapshot.per_class.tolist(), strict=True):
        if 0 < count < limits.few:
            yield Note(f"class {name!r} has {counted(count, 'object')}")


@check(
    "class.imbalance",
    "warning",
    "The model learns to prefer the frequent classes and to miss the rare ones.",
    "imbalance",
    whole=True,
)
def imbalance(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Classes of which one has very many times the objects of another."""
    counts = snapshot.per_class
    used = np.flatnonzero(counts)
    if not len(used):
        return
    most = int(counts.argmax())
    rare = used[counts[used] * limits.imbalance < counts[most]]
    if len(rare):
        listed = _counted(snapshot, rare[np.argsort(counts[rare], kind="stable")][:5].tolist())
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        times = f"{counts[most] / counts[used].min():.0f} times as many as the rarest"
        frequent = f"{snapshot.names[most]!r} has {counts[most]} objects"
        yield Note(f"{frequent}, {times}: {listed}{more}")


def _counted(snapshot: Snapshot, indices: list[int]) -> str:
    counts = snapshot.per_class
    return ", ".join(
        f"{snapshot.names[k]!r} ({counted(int(counts[k]), 'object')})" for k in indices
    )


CHECKS = (unknown, unused, duplicate, nameless, case_variant, similar, few, imbalance)
