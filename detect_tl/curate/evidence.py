"""Findings for a page: grouped by what they are, each with a picture of the object it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.dataset import Dataset, Instance
from detect_tl.core.errors import DataError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Finding, by_kind
from detect_tl.core.geometry import Box, PolygonMask, Size, box_ring, rings_box
from detect_tl.core.images import Image, read_image
from detect_tl.core.pages import drawings, embedded_jpeg
from detect_tl.curate.checks.registry import consequence_of

MOST_PICTURES = 6
"""Pictures for one kind of finding."""
MOST_PICTURES_IN_ALL = 90
MOST_FINDINGS = 100
"""Findings of one kind that a page lists; more of them help nobody."""

_LONGEST = 360
_MOST_OBJECTS = 200  # more outlines would hide the picture, and fill the page
_MARGIN = 0.8  # of the longer side of a box, on every side of it
_LEAST = 1 / 3  # of the image is always shown, so that one sees where in it something is
_COLOURS = {"error": "#ff3b4e", "warning": "#ffb000", "info": "#3ea6ff"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One kind of finding. shown: the first of them; pictures: what of these can be seen."""

    severity: str
    code: str
    count: int
    consequence: str
    pictures: tuple[dict[str, Any], ...]
    shown: tuple[Finding, ...]

    @property
    def unpictured(self) -> tuple[Finding, ...]:
        """Those of `shown` that have no picture."""
        seen = {id(picture["finding"]) for picture in self.pictures}
        return tuple(finding for finding in self.shown if id(finding) not in seen)

    @property
    def more(self) -> int:
        """How many are neither shown nor listed."""
        return self.count - len(self.shown)

    @property
    def more_pictures(self) -> int:
        """How many of the others could be pictured too."""
        return self.count - len(self.pictures) if self.pictures else 0


def evidence(
    findings: Sequence[Finding], dataset: Dataset, root: Path | None = None
) -> list[Evidence]:
    """Group findings, the gravest first, then the most frequent.

    dataset: its outlines are drawn where a finding is about an object of it.
    root: what relative names of images are seen from; None when they are as they are.
    """
    camera = _Camera(dataset, root)
    return [
        Evidence(
            severity,
            code,
            len(group),
            consequence_of(code),
            tuple(camera.pictures(group)),
            tuple(group[:MOST_FINDINGS]),
        )
        for (severity, code), group in by_kind(findings).items()
    ]


class _Camera:
    """Takes pictures for findings, as many as a page can bear."""

    def __init__(self, dataset: Dataset, root: Path | None) -> None:
        self._names = dataset.names
        self._samples = {sample.image: sample for sample in dataset.samples}
        self._root = root
        self._left = MOST_PICTURES_IN_ALL
        # findings of one image often follow one another
        self._read = lru_cache(maxsize=2)(read_image)

    def pictures(self, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        # Of one image, one picture is enough while there are others.
        for finding in _one_per_image(findings, MOST_PICTURES):
            if self._left and (picture := self._picture(finding)):
                found.append(picture)
                self._left -= 1
        return found

    def _picture(self, finding: Finding) -> dict[str, Any] | None:
        image = image_of(finding)
        if image is None:
            return None
        path = image if self._root is None else self._root / image
        try:
            pixels = self._read(path)
        except DataError:
            return None  # which is what most such findings are about
        size = Size(pixels.shape[1], pixels.shape[0])
        box = finding.box if finding.box and all(map(isfinite, finding.box)) else None
        objects = self._objects(path, box)
        view = region(_around(box, objects), size)
        return {
            "finding": finding,
            "name": image.name,
            "view": view,
            "photo": _photo(view, size),
            "data": embedded_jpeg(_cut(pixels, _photo(view, size)), _LONGEST),
            "box": _ordered(box) if box and _meet(_ordered(box), view) else None,
            "objects": drawings(objects, self._names, size),
            "colour": _COLOURS[finding.severity],
            "line": max(view.width, view.height) / 130,
        }

    def _objects(self, image: Path, box: Box | None) -> list[Instance]:
        """What a finding is about, as far as it has a mask; all objects when it names no place."""
        sample = self._samples.get(image)
        if sample is None or len(sample.instances) > _MOST_OBJECTS:
            return []
        return [
            item
            for item in sample.instances
            if box is None or (item.mask is not None and item.box == box)
        ]


def _around(box: Box | None, objects: Sequence[Instance]) -> Box | None:
    """The box, and the outlines of what it should be about."""
    if box is None:
        return None
    rings = [box_ring(box)]
    for item in objects:
        if isinstance(item.mask, PolygonMask):
            rings += [ring for ring in item.mask.parts if np.isfinite(ring).all()]
    return rings_box(rings)


def image_of(finding: Finding) -> Path | None:
    """The picture that shows a finding: the one it names, or the file that it is about."""
    if finding.image is None and finding.path and finding.path.suffix.lower() in IMAGE_SUFFIXES:
        return finding.path
    return finding.image


def region(box: Box | None, size: Size) -> Box:
    """What to show around a box: all of it, with its surroundings; all of the image without one.

    It leaves the image where the box does, but by no more than the image is long.
    """
    if box is None:
        return Box(0.0, 0.0, *map(float, size))
    x1, y1, x2, y2 = _ordered(box)
    margin = max((x2 - x1) * _MARGIN, (y2 - y1) * _MARGIN, max(size) * _LEAST / 2)
    near = Box(-size.width, -size.height, 2 * size.width, 2 * size.height)
    wanted = Box(x1 - margin, y1 - margin, x2 + margin, y2 + margin)
    whole = Box(0.0, 0.0, *map(float, size))
    # Only as much of the margin as the image has, but all of the box.
    view = Box(
        max(min(x1, max(wanted.x1, whole.x1)), near.x1),
        max(min(y1, max(wanted.y1, whole.y1)), near.y1),
        min(max(x2, min(wanted.x2, whole.x2)), near.x2),
        min(max(y2, min(wanted.y2, whole.y2)), near.y2),
    )
    return view if _photo(view, size).area > 0 else whole


def _photo(view: Box, size: Size) -> Box:
    """The part of the image in a view, in whole pixels."""
    inside = view.clipped(size)
    low, high = map(floor, inside[:2]), map(ceil, inside[2:])
    return Box(*map(float, (*low, *high)))


def _cut(image: Image, part: Box) -> Image:
    x1, y1, x2, y2 = map(int, part)
    return image[y1:y2, x1:x2]


def _ordered(box: Box) -> Box:
    """The box with its corners in order, so that an inverted one can be drawn."""
    x1, y1, x2, y2 = box
    return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _meet(a: Box, b: Box) -> bool:
    """Whether two boxes have a point in common; one of them may be a line."""
    return a.x1 <= b.x2 and b.x1 <= a.x2 and a.y1 <= b.y2 and b.y1 <= a.y2


def _one_per_image(findings: Sequence[Finding], most: int) -> list[Finding]:
    """Up to `most` findings that can be pictured, of as many images as there are."""
    first: dict[Path, Finding] = {}
    again: list[Finding] = []
    for finding in findings:
        image = image_of(finding)
        if image is None:
            continue
        if image in first:
            again.append(finding)
        else:
            first[image] = finding
        if len(first) == most:
            break
    return [*first.values(), *again][:most]
