"""Mending boxes and masks of one image where there is one right answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detect_tl.core.dataset import Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    box_iou,
    box_ring,
    clip_ring,
    mask_box,
    ring_area,
)
from detect_tl.core.words import counted
from detect_tl.curate.mend_masks import MendedMask, valid_mask
from detect_tl.curate.rules import (
    LEAST_OVERLAP,
    ROUNDING,
    box_of_polygons,
    overhang,
    place_of,
    show,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How far mending goes.

    outlines_from_boxes: an object without a mask gets its box as outline, to train on outlines.
    thorough: outlines that cross themselves become simple ones, and a box that is more than a
        pixel off its mask is taken from the mask. Without it only what training would stumble
        over is mended: a box that has nothing to do with its outline, outlines without an area.
    """

    outlines_from_boxes: bool = False
    thorough: bool = False


def mend_objects(sample: Sample, names: Sequence[str], rules: Rules, report: Report) -> Sample:
    """The sample with its objects as they should be; what was done is added to the report."""
    kept: dict[tuple[int, Box], list[Instance]] = {}
    mended: list[Instance] = []
    for item in sample.instances:
        notes = _Notes(report, sample, names[item.category], item.box)
        found = _mend(item, sample.size, rules, notes)
        if found is None:
            continue
        if rules.outlines_from_boxes and found.mask is None:
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
    box: Box

    def lost(self, kind: str, code: str, text: str) -> None:
        self.report.lost[kind] += 1
        self._add(code, text)

    def changed(self, kind: str, code: str, text: str) -> None:
        self.report.changed[kind] += 1
        self._add(code, text)

    def _add(self, code: str, text: str) -> None:
        image = self.sample.image
        message = f"{self.label} in {image.name}: {text}"
        self.report.add(code, "warning", message, place_of(self.sample), image=image, box=self.box)


def _mend(item: Instance, size: Size, rules: Rules, notes: _Notes) -> Instance | None:
    """The object as it should be; None when nothing of it is left."""
    box = item.box
    if box.x2 < box.x1 or box.y2 < box.y1:
        box = Box(
            min(box.x1, box.x2), min(box.y1, box.y2), max(box.x1, box.x2), max(box.y1, box.y2)
        )
        notes.changed("boxes-turned-right", "box.inverted", f"corners of {show(item.box)} swapped")
    mask = _mend_mask(item.mask, size, rules, notes)
    box = _box_of_mask(mask, box, size, rules, notes)
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


def _box_of_mask(mask: Mask | None, box: Box, size: Size, rules: Rules, notes: _Notes) -> Box:
    """The box, or the one around its mask where the two do not belong together."""
    around = _around(mask, size, rules)
    if around is None:
        return box
    clipped = box.clipped(size)
    if box_iou(clipped, around) >= LEAST_OVERLAP and (
        not rules.thorough or overhang(clipped, around) <= ROUNDING
    ):
        return box
    text = f"box {show(box)} does not fit its outline; replaced by {show(around)}"
    notes.changed("boxes-taken-from-mask", "box.mask-mismatch", text)
    return around


def _around(mask: Mask | None, size: Size, rules: Rules) -> Box | None:
    """The box around a mask, by which its own may be judged; None when there is none."""
    if isinstance(mask, RleMask):
        return mask_box(mask) if rules.thorough and mask.size == size else None
    return box_of_polygons(mask)


def _mend_mask(mask: Mask | None, size: Size, rules: Rules, notes: _Notes) -> Mask | None:
    if isinstance(mask, RleMask):
        if rules.thorough and not sum(mask.counts[1::2]):
            notes.changed("empty-masks-dropped", "mask.zero-area", "a mask without pixels; dropped")
            return None
        return mask
    if mask is None or not mask.parts:
        return None
    mended = valid_mask(mask, size) if rules.thorough else _sound_mask(mask, size)
    if mended.crossing:
        many = counted(mended.crossing, "outline")
        text = f"{many} that crossed itself; made simple, of the same area"
        notes.changed("outlines-made-simple", "mask.self-crossing", text)
    if mended.empty:
        text = f"{counted(mended.empty, 'outline')} without an area; dropped"
        notes.changed("outlines-dropped", "mask.zero-area", text)
        notes.report.changed["outlines-dropped"] += mended.empty - 1
    if mended.outside:
        notes.report.changed["outlines-clipped"] += 1
    return mended.mask


def _sound_mask(mask: PolygonMask, size: Size) -> MendedMask:
    """Clip all rings to the image and drop those without an area."""
    points = np.concatenate(mask.parts)
    inside = bool((points >= 0).all() and (points <= size).all())
    if inside and all(map(_is_sound, mask.parts)):
        return MendedMask(mask)
    parts = tuple(_sound_rings(mask.parts, size))
    holes = tuple(_sound_rings(mask.holes, size))
    gone = sum(not _is_sound(ring) for ring in mask.parts)
    whole = PolygonMask(parts, holes) if parts else None
    return MendedMask(whole, outside=int(not inside), empty=gone)


def _sound_rings(rings: tuple[Ring, ...], size: Size) -> Iterator[Ring]:
    for ring in rings:
        clipped = clip_ring(ring, size) if _is_sound(ring) else ring
        if _is_sound(clipped):
            yield clipped


def _is_sound(ring: Ring) -> bool:
    return len(ring) >= 3 and ring_area(ring) > 0
