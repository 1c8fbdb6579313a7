"""Mending what has one right answer, and counting it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from detect_tl.core.dataset import Dataset, Instance, Sample, renumber
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    Ring,
    Size,
    box_iou,
    box_ring,
    clip_ring,
    ring_area,
)
from detect_tl.core.model_spec import Task
from detect_tl.curate.dataset_checks import variants
from detect_tl.curate.sample_checks import (
    LEAST_OVERLAP,
    ROUNDING,
    box_of_polygons,
    overhang,
    place_of,
    show,
)
from detect_tl.curate.suspects import suspicious


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The mended data set, and the report of what was changed and lost to get there."""

    dataset: Dataset
    report: Report


def plan_repair(dataset: Dataset, task: Task = "detect") -> RepairPlan:
    """Mend what has one right answer; nothing on disk is touched.

    Class names that differ only in case or spaces become one; inverted boxes are turned right;
    boxes and polygons are clipped to the image; objects without an area go, and those that are
    there twice. For "segment", an object without a mask gets its box as outline.
    """
    report = Report()
    merged = merge_variants(dataset, report)
    names = merged.names
    samples = tuple(
        _mend_sample(sample, names, task, report) if suspect else sample
        for sample, suspect in zip(merged.samples, suspicious(merged.samples, task), strict=True)
    )
    return RepairPlan(Dataset(merged.categories, samples), report)


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
    if not same:
        return dataset
    return renumber(dataset, [name for name in dataset.names if name not in same], same)


def _mend_sample(sample: Sample, names: list[str], task: Task, report: Report) -> Sample:
    kept: dict[tuple[int, Box], list[Instance]] = {}
    mended: list[Instance] = []
    for item in sample.instances:
        notes = _Notes(report, sample, names[item.category])
        found = _mend(item, sample.size, notes)
        if found is None:
            continue
        if task == "segment" and found.mask is None:
            report.changed["boxes-made-outlines"] += 1
            found = replace(found, mask=PolygonMask((box_ring(found.box),)))
        same = kept.setdefault((found.category, found.box), [])
        if any(found.mask == other.mask and found.iscrowd == other.iscrowd for other in same):
            text = f"{show(found.box)} is there twice; the second one was dropped"
            notes.lost("repeated-objects", "box.duplicate", text)
            continue
        same.append(found)
        mended.append(found)
    return replace(sample, instances=tuple(mended))


@dataclass(frozen=True, slots=True)
class _Notes:
    """Adds to a report what happened to one object."""

    report: Report
    sample: Sample
    label: str

    def lost(self, kind: str, code: str, text: str) -> None:
        self.report.lost[kind] += 1
        self._add(code, text)

    def changed(self, kind: str, code: str, text: str) -> None:
        self.report.changed[kind] += 1
        self._add(code, text)

    def _add(self, code: str, text: str) -> None:
        message = f"{self.label} in {self.sample.image.name}: {text}"
        self.report.add(code, "warning", message, place_of(self.sample))


def _mend(item: Instance, size: Size, notes: _Notes) -> Instance | None:
    """The object as it should be; None when nothing of it is left."""
    box = item.box
    if box.x2 < box.x1 or box.y2 < box.y1:
        box = Box(
            min(box.x1, box.x2), min(box.y1, box.y2), max(box.x1, box.x2), max(box.y1, box.y2)
        )
        notes.changed("boxes-turned-right", "box.inverted", f"corners of {show(item.box)} swapped")
    mask = item.mask
    if isinstance(mask, PolygonMask):
        mask = _mend_polygons(mask, size, notes)
        box = _box_of_mask(mask, box, size, notes)
    clipped = box.clipped(size)
    if clipped.area <= 0:
        outside = box.area > 0
        kind = "objects-outside-image" if outside else "zero-area-boxes"
        code = "box.outside" if outside else "box.zero-area"
        why = "lies outside the image" if outside else "has no area"
        notes.lost(kind, code, f"{show(box)} {why}; dropped")
        return None
    if clipped != box:
        _note_clip(box, clipped, notes)
    if clipped == item.box and mask is item.mask:
        return item
    return replace(item, box=clipped, mask=mask)


def _note_clip(box: Box, clipped: Box, notes: _Notes) -> None:
    beyond = overhang(box, clipped)
    if beyond > ROUNDING:
        text = f"{show(box)} left the image by {beyond:.0f} pixels; clipped"
        notes.changed("boxes-clipped", "box.out-of-bounds", text)
    else:
        notes.report.changed["boxes-clipped"] += 1


def _box_of_mask(mask: PolygonMask | None, box: Box, size: Size, notes: _Notes) -> Box:
    """The box, or the one around the polygons where the two do not belong together."""
    around = box_of_polygons(mask)
    if around is None or box_iou(box.clipped(size), around) >= LEAST_OVERLAP:
        return box
    text = f"box {show(box)} does not fit its outline; replaced by {show(around)}"
    notes.changed("boxes-taken-from-mask", "box.mask-mismatch", text)
    return around


def _mend_polygons(mask: PolygonMask, size: Size, notes: _Notes) -> PolygonMask | None:
    """Clip all rings to the image and drop those without an area."""
    if not mask.parts:
        return None
    inside = _inside(mask, size)
    if inside and all(map(_is_sound, mask.parts)):
        return mask
    parts = tuple(_sound_rings(mask.parts, size))
    holes = tuple(_sound_rings(mask.holes, size))
    gone = sum(not _is_sound(ring) for ring in mask.parts)
    if gone:
        notes.changed(
            "outlines-dropped", "mask.zero-area", f"{gone} outlines have no area; dropped"
        )
    if not inside:
        notes.report.changed["outlines-clipped"] += 1
    return PolygonMask(parts, holes) if parts else None


def _inside(mask: PolygonMask, size: Size) -> bool:
    points = np.concatenate(mask.parts)
    return bool((points >= 0).all() and (points <= size).all())


def _sound_rings(rings: tuple[Ring, ...], size: Size) -> Iterator[Ring]:
    for ring in rings:
        clipped = clip_ring(ring, size) if _is_sound(ring) else ring
        if _is_sound(clipped):
            yield clipped


def _is_sound(ring: Ring) -> bool:
    return len(ring) >= 3 and ring_area(ring) > 0
