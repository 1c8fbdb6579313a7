"""Checks of one image and its objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from detect_tl.core.dataset import Category, Instance, Sample
from detect_tl.core.findings import Finding, Severity
from detect_tl.core.geometry import Box, Mask, PolygonMask, box_iou, ring_area, rings_box

# Rounding puts boxes up to a pixel over the border; further out somebody should look.
ROUNDING = 1.0
# Below this overlap a box does not belong to its own mask.
LEAST_OVERLAP = 0.5

_ERRORS = frozenset({"class.unknown", "box.zero-area"})

Categories = Sequence[Category]


def unknown_class(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """An object whose class the data set does not declare."""
    for item in sample.instances:
        if not 0 <= item.category < len(categories):
            text = f"class {item.category} is not declared"
            yield _object("class.unknown", text, sample, item, categories)


def empty_annotation(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """An image without objects. It teaches what is background, if that is meant."""
    del categories
    if not sample.instances:
        yield Finding("annotation.empty", "info", "no objects: a background image", sample.image)


def inverted_box(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """A box whose corners are in the wrong order."""
    for item in sample.instances:
        if item.box.width < 0 or item.box.height < 0:
            text = f"corners of {show(item.box)} are in the wrong order"
            yield _object("box.inverted", text, sample, item, categories)


def zero_area_box(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """A box without an area: conversion drops it."""
    for item in sample.instances:
        if item.box.width == 0 or item.box.height == 0:
            text = f"{show(item.box)} has no area"
            yield _object("box.zero-area", text, sample, item, categories)


def box_out_of_bounds(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """A box that leaves its image by more than rounding."""
    for item in sample.instances:
        beyond = overhang(item.box, item.box.clipped(sample.size))
        if beyond > ROUNDING:
            w, h = sample.size
            text = f"{show(item.box)} leaves the {w}x{h} image by {beyond:.0f} pixels"
            yield _object("box.out-of-bounds", text, sample, item, categories)


def duplicate_box(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """Two objects of one class with the same box: training counts the object twice."""
    seen: set[tuple[int, Box]] = set()
    for item in sample.instances:
        key = (item.category, item.box)
        if key in seen:
            text = f"{show(item.box)} is there twice"
            yield _object("box.duplicate", text, sample, item, categories)
        seen.add(key)


def box_off_mask(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """A box that does not belong to the polygons of its own object."""
    for item in sample.instances:
        around = box_of_polygons(item.mask)
        if around is not None and box_iou(item.box, around) < LEAST_OVERLAP:
            text = f"box {show(item.box)} does not fit its outline, {show(around)}"
            yield _object("box.mask-mismatch", text, sample, item, categories)


def empty_outline(sample: Sample, categories: Categories) -> Iterator[Finding]:
    """A polygon without an area."""
    for item in sample.instances:
        parts = item.mask.parts if isinstance(item.mask, PolygonMask) else ()
        for part in parts:
            if ring_area(part) <= 0:
                text = f"an outline of {len(part)} points has no area"
                yield _object("mask.zero-area", text, sample, item, categories)


def box_of_polygons(mask: Mask | None) -> Box | None:
    """The box around the polygons of an object; None when it has none with an area."""
    if not isinstance(mask, PolygonMask):
        return None
    parts = [part for part in mask.parts if len(part) >= 3]
    around = rings_box(parts) if parts else None
    return around if around is not None and around.area > 0 else None


def overhang(box: Box, clipped: Box) -> float:
    """By how many pixels a box leaves what is left of it."""
    return max(abs(a - b) for a, b in zip(box, clipped, strict=True))


def show(box: Box) -> str:
    """A box in a message: "[x1, y1, x2, y2]"."""
    return f"[{', '.join(f'{v:g}' for v in box)}]"


def place_of(sample: Sample) -> Path:
    """The file that a finding about an object points to."""
    return sample.annotation or sample.image


def _object(
    code: str, text: str, sample: Sample, item: Instance, categories: Categories
) -> Finding:
    known = 0 <= item.category < len(categories)
    label = categories[item.category].name if known else f"class {item.category}"
    severity: Severity = "error" if code in _ERRORS else "warning"
    return Finding(code, severity, f"{label} in {sample.image.name}: {text}", place_of(sample))
