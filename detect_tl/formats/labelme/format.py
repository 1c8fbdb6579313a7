"""LabelMe: one JSON file per image, with named shapes and often the image itself inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Mask, PolygonMask, Ring, RleMask, Size, box_ring
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.finite import FARTHEST
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.labelme.image import find_or_unpack
from detect_tl.formats.labelme.shape import (
    LABELS_HEAD,
    NOT_OBJECTS,
    Shape,
    has_area,
    parse_shape,
)
from detect_tl.formats.labelme.write import LOSSES, write
from detect_tl.formats.recognise import recognise
from detect_tl.formats.records import UNREADABLE, why
from detect_tl.formats.source import Source

_SHAPES = re.compile(rb'"shapes"\s*:\s*(\[|null)')


def sniff(source: Source) -> Sniff:
    return recognise(source, (".json",), _SHAPES.search, '"shapes"')


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
        if not isinstance(document, dict) or not isinstance(document.get("shapes") or [], list):
            raise DataError('not a LabelMe file: its "shapes" is no list', path=path)
        _read_one(gather, index, path, document)
    gather.add_backgrounds()
    names = [category.name for category in index.categories()]
    return gather.dataset(index, _declared(source, names))


def _declared(source: Source, names: Sequence[str]) -> list[str]:
    """The classes in the order of labels.txt where it declares any of them, else alphabetical."""
    declared: list[str] = []
    for path in source.files:
        if path.name.casefold() == "labels.txt":
            lines = path.read_text("utf-8-sig", errors="replace").split("\n")
            words = [word for line in lines if (word := line.strip())]
            declared += words[_length_of_head(words) :]
    if names and not set(declared) & set(names):
        declared = []  # it is about something else
    order = list(dict.fromkeys(declared))
    return order + alphabetical(name for name in names if name not in order)


def _length_of_head(words: Sequence[str]) -> int:
    """How many first lines of labels.txt are no classes.

    The two words of `LABELS_HEAD` mean something only there: elsewhere they are names like others.
    """
    if tuple(words[:1]) != LABELS_HEAD[:1]:
        return 0
    return 2 if tuple(words[:2]) == LABELS_HEAD else 1


def _read_one(
    gather: Gatherer, index: CategoryIndex, path: Path, document: Mapping[str, Any]
) -> None:
    shapes = document.get("shapes") or []
    named = str(document.get("imagePath") or "")
    names = [name for name in (named, path.with_suffix(Path(named).suffix or ".jpg").name) if name]
    image = find_or_unpack(gather, names, document, path, len(shapes))
    header = None if image is None else gather.header(image, len(shapes))
    if image is None or header is None:
        return
    declared = _declared_size(document)
    found = list(_shapes(shapes, declared or header.size, path, gather.report))
    instances = tuple(_join(found, index))
    extent = extent_of(item.box for item in instances)
    frame = gather.frame(image, declared, extent, path, len(instances))
    if frame is None:
        return
    split = gather.source.split_of(image) or gather.source.split_of(path)
    instances = tuple(placed(item, frame) for item in instances)
    gather.add(Sample(image, frame.size, instances, split, path))


def _declared_size(document: Mapping[str, Any]) -> Size | None:
    """The size in the file; None where it gives none, or one that no image can have."""
    width, height = (_side(document.get(key)) for key in ("imageWidth", "imageHeight"))
    return Size(width, height) if width and height else None


def _side(value: Any) -> int:
    """A number of pixels; 0 for what is none, such as NaN, which is not greater than 0."""
    return int(min(value, FARTHEST)) if isinstance(value, int | float) and value > 0 else 0


def _shapes(shapes: Sequence[Any], size: Size, path: Path, report: Report) -> Iterator[Shape]:
    """The shapes of a file on an image of `size`; what is no object is counted and named."""
    for place, shape in enumerate(shapes, start=1):
        kind = str(shape.get("shape_type") or "polygon") if isinstance(shape, dict) else "?"
        if kind in NOT_OBJECTS:
            report.lost[f"shapes-{kind}"] += 1
            text = f"shape {place} is a {kind}, which has no area; it is left out"
            report.add("labelme.no-area", "warning", text, path)
            continue
        try:
            found = parse_shape(shape, kind, size)
        except UNREADABLE as error:
            report.lost["objects-unreadable"] += 1
            text = f"shape {place} is lost: {why(error)}"
            report.add("labelme.bad-shape", "error", text, path)
            continue
        if isinstance(found.mask, PolygonMask) and not has_area(found.mask.parts[0]):
            report.lost["shapes-without-area"] += 1
            text = f"shape {place} is a {kind} whose points lie on one line; it is left out"
            report.add("labelme.no-area", "warning", text, path)
            continue
        yield found


def _join(shapes: Sequence[Shape], index: CategoryIndex) -> Iterator[Instance]:
    """One instance per shape, or per label and group where outlines or boxes are grouped."""
    groups: dict[object, list[Shape]] = {}
    for place, shape in enumerate(shapes):
        alone = shape.group is None or isinstance(shape.mask, RleMask)
        groups.setdefault(place if alone else (shape.label, str(shape.group)), []).append(shape)
    for members in groups.values():
        first = members[0]
        yield Instance(
            index.add(first.label),
            extent_of(m.box for m in members) or first.box,
            _union(members),
            first.iscrowd,
            first.attributes or NO_ATTRIBUTES,
        )


def _union(members: Sequence[Shape]) -> Mask | None:
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
    description="one JSON file per image with polygons, boxes, circles and masks",
    sniff=sniff,
    read=read,
    write=write,
    losses=LOSSES,
    opening="labelme {folder}/images/train --output {folder}/labelme/train"
    " --labels {folder}/labelme/labels.txt --nodata",
)
