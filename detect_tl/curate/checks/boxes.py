"""Checks of single boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detect_tl.curate.checks.base import Note, check
from detect_tl.curate.checks.limits import Limits
from detect_tl.curate.checks.objects import notes_at
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.rules import show

# A box of fractions is looked for on images at least this large, pixels.
_LEAST_SIDE = 32
# Boxes that touch the left or the top edge at coordinate 1, before a habit is seen in them.
_LEAST_TOUCHING = 3
# Tiny objects of a class that are no accident.
_LEAST_TINY = 3


@check(
    "box.not-finite",
    "error",
    "Ultralytics drops the whole image; elsewhere the loss becomes infinite, and all is forgotten.",
)
def not_finite(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box with a coordinate that is infinite or no number."""
    del limits
    yield from notes_at(snapshot, ~snapshot.finite, lambda row: f"{show(snapshot.box(row))}")


@check(
    "box.inverted",
    "warning",
    "Ultralytics drops the whole image. Conversion turns the box right.",
)
def inverted(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box whose corners are in the wrong order."""
    del limits
    yield from notes_at(
        snapshot,
        np.asarray((snapshot.spans < 0).any(axis=1)),
        lambda row: f"corners of {show(snapshot.box(row))} are in the wrong order",
    )


@check("box.zero-area", "error", "Conversion and training drop it; evaluation can never match it.")
def zero_area(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box without an area."""
    del limits
    yield from notes_at(
        snapshot,
        np.asarray((snapshot.spans == 0).any(axis=1)),
        lambda row: f"{show(snapshot.box(row))} has no area",
    )


@check(
    "box.sub-pixel",
    "warning",
    "There is nothing to see in it: a miss that nobody could find.",
    "thin",
)
def sub_pixel(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box thinner than a pixel."""
    flagged = snapshot.proper & (snapshot.spans < limits.thin).any(axis=1)

    def text(row: int) -> str:
        w, h = snapshot.spans[row]
        return f"{w:.3g} x {h:.3g} pixels"

    yield from notes_at(snapshot, flagged & ~_fractions(snapshot), text)


@check(
    "box.outside", "error", "Conversion drops it; where it stays, evaluation can never match it."
)
def outside(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box that lies outside of its image altogether."""
    del limits

    def text(row: int) -> str:
        w, h = snapshot.sample_of(row).size
        return f"{show(snapshot.box(row))} lies outside the {w}x{h} image"

    yield from notes_at(snapshot, _outside(snapshot), text)


@check(
    "box.out-of-bounds",
    "warning",
    "Far out, Ultralytics drops the whole image. Conversion cuts the box at the border.",
    "border",
)
def out_of_bounds(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box that leaves its image by more than rounding."""

    def text(row: int) -> str:
        w, h = snapshot.sample_of(row).size
        beyond = snapshot.beyond[row]
        return f"{show(snapshot.box(row))} leaves the {w}x{h} image by {beyond:.0f} pixels"

    flagged = (snapshot.beyond > limits.border) & ~_outside(snapshot)
    yield from notes_at(snapshot, flagged, text)


@check(
    "box.fractions",
    "error",
    "All objects sit in the first pixel: nothing can be learned from them.",
)
def fractions(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A box given in fractions of the image where pixels are meant."""
    del limits
    yield from notes_at(
        snapshot,
        _fractions(snapshot),
        lambda row: f"{show(snapshot.box(row))} looks like fractions of the image, not pixels",
    )


@check(
    "box.one-based",
    "info",
    "Boxes lie a pixel too far right and down, which matters to objects of a few pixels only.",
    whole=True,
)
def one_based(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """Coordinates that seem to count from 1, as the first Pascal VOC did."""
    del limits
    boxes = snapshot.boxes[snapshot.proper]
    if not len(boxes) or (boxes != boxes.round()).any():
        return
    touching = int((boxes[:, :2] == 1).any(axis=1).sum())
    ends = (snapshot.boxes[:, 2:] == snapshot.sizes[snapshot.owner]).any(axis=1)
    if boxes.min() >= 1 and touching >= _LEAST_TOUCHING and ends.any():
        ending = f"{ends.sum()} end at the last pixel"
        yield Note(f"no coordinate is 0, {touching} boxes begin at 1 and {ending}")


@check(
    "box.tiny",
    "warning",
    "The finest cell of the model is larger: few are found. Raise --imgsz or cut tiles.",
    "imgsz",
    "tiny",
    "tiny_share",
    whole=True,
)
def tiny(snapshot: Snapshot, limits: Limits) -> Iterator[Note]:
    """A class whose objects are tiny once images are scaled for training."""
    longest = snapshot.sizes.max(axis=1, initial=1)[snapshot.owner]
    sides = snapshot.spans.min(axis=1) * (limits.imgsz / np.maximum(longest, 1))
    small = snapshot.proper & (sides < limits.tiny)
    for index, name in enumerate(snapshot.names):
        of_class = snapshot.proper & (snapshot.category == index)
        count, total = int((small & of_class).sum()), int(of_class.sum())
        if count >= _LEAST_TINY and count > limits.tiny_share * total:
            yield Note(
                f"{count} of {total} objects of {name} are thinner than {limits.tiny:g} pixels "
                f"at {limits.imgsz}"
            )


def _outside(snapshot: Snapshot) -> NDArray[np.bool_]:
    before = (snapshot.boxes[:, 2:] <= 0).any(axis=1)
    behind = (snapshot.boxes[:, :2] >= snapshot.sizes[snapshot.owner]).any(axis=1)
    return snapshot.proper & (before | behind)


def _fractions(snapshot: Snapshot) -> NDArray[np.bool_]:
    """(N,) whether all boxes of an image lie in its first pixel, and not on whole pixels."""
    within = ((snapshot.boxes >= 0) & (snapshot.boxes <= 1)).all(axis=1) & snapshot.proper
    large = (snapshot.sizes >= _LEAST_SIDE).all(axis=1)
    pixels = np.bincount(snapshot.owner[~within], minlength=len(snapshot.samples)) > 0
    parts = (snapshot.boxes != snapshot.boxes.round()).any(axis=1)
    broken = np.bincount(snapshot.owner[parts], minlength=len(snapshot.samples)) > 0
    return within & (large & ~pixels & broken)[snapshot.owner]


CHECKS = (
    not_finite,
    inverted,
    zero_area,
    sub_pixel,
    outside,
    out_of_bounds,
    fractions,
    one_based,
    tiny,
)
