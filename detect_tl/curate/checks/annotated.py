"""Checks of how images are annotated: not at all, by copying, or very unlike the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detect_tl.core.words import counted
from detect_tl.curate.checks.base import Need, Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.rules import place_of

# Fewer annotated images are no crowd to stand out from.
_LEAST_IMAGES = 20
# Of the square root of a Poisson count.
_CHANCE = 0.5
# Robust deviations to ordinary ones, for a normal distribution.
_NORMAL = 1.4826


@check(
    "annotation.missing",
    "info",
    "It teaches that nothing on the image is an object. If it was never annotated, remove it.",
)
def missing(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image that no annotation describes: taken for background."""
    del limits
    for sample in snapshot.samples:
        if sample.annotation is None and not sample.instances:
            yield Note("no annotation: a background image", sample.image, sample.image)


@check("annotation.empty", "info", "It teaches that nothing on the image is an object.")
def empty(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An annotation without objects: taken for background."""
    del limits
    for place in np.flatnonzero(snapshot.counts == 0).tolist():
        sample = snapshot.samples[place]
        if sample.annotation is not None:
            yield Note("no objects: a background image", sample.image, sample.image)


@check(
    "annotation.mostly-empty",
    "warning",
    "The model learns to find nothing; a tenth of background is plenty.",
    "background",
    whole=True,
)
def mostly_empty(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """More images without objects than with."""
    without = int((snapshot.counts == 0).sum())
    if without > limits.background * len(snapshot.samples):
        yield Note(f"{without} of {len(snapshot.samples)} images have no objects")


@check(
    "annotation.density",
    "info",
    "If objects were forgotten, the model learns to miss them.",
    "density",
    whole=True,
)
def density(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image with far more or far fewer objects than the others."""
    counts = snapshot.counts
    annotated = np.flatnonzero(counts)
    if len(annotated) < _LEAST_IMAGES:
        return
    roots = np.sqrt(counts[annotated])  # of counts that vary by chance, roots vary equally
    middle = np.median(roots)
    spread = max(_NORMAL * float(np.median(np.abs(roots - middle))), _CHANCE)
    for place in annotated[np.abs(roots - middle) > limits.density * spread].tolist():
        sample = snapshot.samples[place]
        usual = f"half of the images have {middle**2:.0f} or fewer"
        text = f"{sample.image.name} has {counted(int(counts[place]), 'object')}, {usual}"
        yield Note(text, place_of(sample), sample.image)


@check(
    "annotation.inherited",
    "warning",
    "Boxes copied from another image lie beside the objects of this one.",
    "alike",
    need=Need.CONTENTS,
    whole=True,
)
def inherited(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """An image with exactly the objects of another one, though the pictures differ."""
    looks = snapshot.looks(limits.alike) if snapshot.facts else snapshot.contents
    first: dict[bytes, int] = {}
    for place, key in _keys(snapshot):
        model = first.setdefault(key, place)
        if model == place or looks[model] == looks[place]:
            continue
        sample, other = snapshot.samples[place], snapshot.samples[model]
        those = counted(len(sample.instances), "object")
        text = f"{sample.image.name} has exactly the {those} of {other.image.name}"
        yield Note(text, place_of(sample), sample.image)


def _keys(snapshot: Snapshot) -> Iterator[tuple[int, bytes]]:
    """The objects of every image as bytes, for images with objects that chance cannot repeat.

    A single box is one of them when it touches no border: boxes around whole images are all equal.
    """
    columns = np.column_stack([snapshot.boxes.round(2), snapshot.category])
    inside = (snapshot.boxes[:, :2] > 1).all(axis=1) & (snapshot.beyond < -1)
    for place in np.flatnonzero(snapshot.counts).tolist():
        rows = slice(*snapshot.starts[place : place + 2])
        here = np.unique(columns[rows], axis=0)
        if len(here) > 1 or inside[rows].all():
            yield int(place), here.tobytes()


CHECKS = (missing, empty, mostly_empty, density, inherited)
