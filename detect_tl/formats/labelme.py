"""LabelMe: one JSON file per image, with named shapes and often the image itself inside."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Dataset, Instance, Json, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    Box,
    Mask,
    PolygonMask,
    Ring,
    RleMask,
    Size,
    bitmap_to_rle,
    box_ring,
    rings_box,
)
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.labelme_image import find_or_unpack
from detect_tl.formats.source import Source

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_NOT_OBJECTS = frozenset({"point", "points", "line", "linestrip"})
# Between 32 and 96 chords, so that no chord leaves its circle by more than about 0.1 pixels.
_LEAST_CHORDS, _MOST_CHORDS = 32, 96


def sniff(source: Source) -> Sniff:
    files = source.candidates(".json")
    if not files:
        return Sniff("no .json file")
    claimed = tuple(p for p in files if _SHAPES.search(source.peek(p)))
    if not claimed:
        return Sniff(f'{len(files)} .json files, none with "shapes"')
    return Sniff(f'{len(claimed)} .json files with "shapes"', claimed)


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Parts of one object, joined by `group_id`, become one instance of several polygons.
    Raises DataError, with file and line, for a file that is not JSON.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    for path in sniff(source).files:
        document = read_json(path)
        report.read["annotation-files"] += 1
        if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
            raise DataError('not a LabelMe file: its "shapes" is no list', path=path)
        _read_one(gather, index, path, document)
    gather.add_backgrounds()
    names = [category.name for category in index.categories()]
    return gather.dataset(index, _declared(source, names))


def _declared(source: Source, names: Sequence[str]) -> list[str]:
    """The order in labels.txt where there is one, else alphabetical."""
    declared: list[str] = []
    for path in source.files:
        if path.name.casefold() == "labels.txt":
            lines = path.read_text("utf-8-sig", errors="replace").splitlines()
            words = [line.strip() for line in lines]
            declared += [w for w in words if w and w not in ("__ignore__", "_background_")]
    order = [name for name in dict.fromkeys(declared) if name in names]
    return order + [name for name in alphabetical(names) if name not in order]


def _read_one(
    gather: Gatherer, index: CategoryIndex, path: Path, document: Mapping[str, Any]
) -> None:
    shapes = list(_shapes(document, path, gather.report))
    named = str(document.get("imagePath") or "")
    names = [name for name in (named, path.with_suffix(Path(named).suffix or ".jpg").name) if name]
    image = find_or_unpack(gather, names, document, path, len(shapes))
    if image is None:
        return
    instances = tuple(_join(shapes, index))
    frame = gather.frame(
        image, _declared_size(document), extent_of(i.box for i in instances), path, len(instances)
    )
    if frame is None:
        return
    split = gather.source.split_of(image) or gather.source.split_of(path)
    instances = tuple(placed(item, frame) for item in instances)
    gather.add(Sample(image, frame.size, instances, split, path))


def _declared_size(document: Mapping[str, Any]) -> Size | None:
    width, height = document.get("imageWidth"), document.get("imageHeight")
    if isinstance(width, int | float) and isinstance(height, int | float):
        return Size(int(width), int(height))
    return None


@dataclass(frozen=True, slots=True)
class _Shape:
    """One shape of the file; its mask is None for a plain box."""

    label: str
    box: Box
    mask: Mask | None
    group: Json
    attributes: Mapping[str, Json]


def _shapes(document: Mapping[str, Any], path: Path, report: Report) -> Iterator[_Shape]:
    size = _declared_size(document)
    for place, shape in enumerate(document["shapes"], start=1):
        kind = (shape.get("shape_type") or "polygon") if isinstance(shape, dict) else "?"
        if kind in _NOT_OBJECTS:
            report.lost[f"shapes-{kind}"] += 1
            text = f"shape {place} is a {kind}, which has no area; it is left out"
            report.add("labelme.no-area", "warning", text, path)
            continue
        try:
            found = _shape(shape, kind, size)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            report.lost["objects-unreadable"] += 1
            what = f"it has no {error}" if isinstance(error, KeyError) else error
            report.add("labelme.bad-shape", "error", f"shape {place} is lost: {what}", path)
            continue
        if kind == "polygon" and _is_a_line(found.mask):
            report.lost["shapes-without-area"] += 1
            text = f"shape {place} is a polygon whose points lie on one line; it is left out"
            report.add("labelme.no-area", "warning", text, path)
            continue
        yield found


def _is_a_line(mask: Mask | None) -> bool:
    """Whether an outline is a point or a line: a stray click, not an object."""
    if not isinstance(mask, PolygonMask):
        return False
    points = np.concatenate(mask.parts)
    return len(points) < 3 or int(np.linalg.matrix_rank(points - points[0])) < 2


def _shape(shape: Mapping[str, Any], kind: str, size: Size | None) -> _Shape:
    points = np.asarray(shape["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("its points are not a list of finite [x, y]")
    label = str(shape["label"]).strip()
    if not label:
        raise ValueError("its label is empty")
    mask: Mask | None = None
    if kind == "polygon":
        mask = PolygonMask((points,))
    elif kind == "circle":
        mask = PolygonMask((_circle(points),))
    elif kind == "mask":
        mask = _bitmap(str(shape["mask"]), points, size)
    elif kind != "rectangle":
        raise ValueError(f"unknown shape_type {kind!r}")
    box = rings_box(mask.parts if isinstance(mask, PolygonMask) else [points])
    return _Shape(label, box, mask, shape.get("group_id"), _attributes(shape))


def _circle(points: Ring) -> Ring:
    """A circle is stored as its centre and one point on it."""
    if len(points) != 2:
        raise ValueError(f"a circle needs 2 points, it has {len(points)}")
    (cx, cy), (px, py) = points.tolist()
    radius = math.hypot(px - cx, py - cy)
    chords = int(np.clip(4 * math.sqrt(radius), _LEAST_CHORDS, _MOST_CHORDS))
    angle = np.linspace(0, 2 * np.pi, chords, endpoint=False)
    return np.stack([cx + radius * np.cos(angle), cy + radius * np.sin(angle)], axis=1)


def _bitmap(encoded: str, corners: Ring, size: Size | None) -> RleMask:
    """A mask is stored as a PNG of the part of the image between its two corners."""
    import cv2

    if size is None:
        raise ValueError("a mask needs imageWidth and imageHeight in the file")
    data = np.frombuffer(base64.b64decode(encoded, validate=True), np.uint8)
    patch = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if patch is None:
        raise ValueError("its mask is not a PNG")
    left, top = (int(v) for v in corners.min(axis=0))
    height, width = patch.shape
    if left < 0 or top < 0 or left + width > size.width or top + height > size.height:
        raise ValueError("its mask leaves the image")
    whole = np.zeros((size.height, size.width), np.uint8)
    whole[top : top + height, left : left + width] = patch
    return bitmap_to_rle(whole)


def _attributes(shape: Mapping[str, Any]) -> Mapping[str, Json]:
    found: dict[str, Json] = {k: v for k, v in (shape.get("flags") or {}).items() if v}
    if shape.get("description"):
        found["description"] = shape["description"]
    return found or NO_ATTRIBUTES


def _join(shapes: Sequence[_Shape], index: CategoryIndex) -> Iterator[Instance]:
    """One instance per shape, or per label and group where outlines or boxes are grouped."""
    groups: dict[object, list[_Shape]] = {}
    for place, shape in enumerate(shapes):
        alone = shape.group is None or isinstance(shape.mask, RleMask)
        groups.setdefault(place if alone else (shape.label, str(shape.group)), []).append(shape)
    for members in groups.values():
        first = members[0]
        attributes = dict(first.attributes)
        if first.group is not None:
            attributes["group_id"] = first.group
        yield Instance(
            index.add(first.label),
            extent_of(m.box for m in members) or first.box,
            _union(members),
            attributes=attributes or NO_ATTRIBUTES,
        )


def _union(members: Sequence[_Shape]) -> Mask | None:
    if len(members) == 1 or all(m.mask is None for m in members):
        return members[0].mask
    parts: list[Ring] = []
    for member in members:
        mask = member.mask
        parts += mask.parts if isinstance(mask, PolygonMask) else [box_ring(member.box)]
    return PolygonMask(tuple(parts))


FORMAT = Format(
    name="labelme",
    title="LabelMe",
    description="one JSON file per image with polygons, rectangles, circles and masks",
    sniff=sniff,
    read=read,
)
