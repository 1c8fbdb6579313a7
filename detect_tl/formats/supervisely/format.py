"""Supervisely: a folder of images and one of JSON files per dataset, and the classes in meta.json.

A project is `meta.json` and datasets; a dataset is `img/<name>` and `ann/<name>.json`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Json, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Mask, PolygonMask, Size, rings_box
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of, placed
from detect_tl.formats.recognise import recognise
from detect_tl.formats.records import (
    UNREADABLE,
    join_parts,
    label_of,
    leave_out_unlisted,
    or_none,
    outline,
    points,
    size_of,
    why,
)
from detect_tl.formats.source import Source, split_name
from detect_tl.formats.supervisely.bitmap import read_bitmap

_OBJECTS = re.compile(rb'"objects"\s*:\s*\[')
_SIZE = re.compile(rb'"size"\s*:\s*\{\s*"(height|width)"')
_CLASSES = re.compile(rb'"classes"\s*:\s*\[')
_META = "meta.json"
_BITMAPS = frozenset({"bitmap", "alpha_mask"})
_AREAS = _BITMAPS | {"rectangle", "polygon"}

_Record = Mapping[str, Any]


def sniff(source: Source) -> Sniff:
    found = recognise(source, (".json",), _is_annotation, '"objects" and the "size" of an image')
    return replace(found, files=(*found.files, *_metas(source))) if found.matches else found


def _is_annotation(ends: bytes) -> bool:
    return bool(_OBJECTS.search(ends) and _SIZE.search(ends))


def _metas(source: Source) -> list[Path]:
    return [p for p in source.files if p.name == _META and _CLASSES.search(source.peek(p))]


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not JSON or has no objects.
    """
    metas = _metas(source)
    declared = _declared(metas)
    index = CategoryIndex(declared)
    gather = Gatherer(source, report)
    for path in sniff(source).files:
        if path in metas:
            continue
        document = read_json(path)
        report.read["annotation-files"] += 1
        if not isinstance(document, dict) or not isinstance(document.get("objects"), list):
            raise DataError('not a Supervisely file: its "objects" is no list', path=path)
        _File(path, gather, index, document).read()
    leave_out_unlisted(gather)
    met = [category.name for category in index.categories()]
    return gather.dataset(index, declared + alphabetical(n for n in met if n not in declared))


def _declared(metas: Sequence[Path]) -> list[str]:
    """The classes in the order of meta.json; raise DataError when it cannot be read."""
    names: dict[str, None] = {}
    for path in metas:
        try:
            names |= {label_of(c["title"]): None for c in read_json(path)["classes"]}
        except UNREADABLE as error:
            raise DataError(f"a class cannot be read: {why(error)}", path=path) from error
    return list(names)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    gather: Gatherer
    index: CategoryIndex
    document: _Record

    def read(self) -> None:
        gather, path = self.gather, self.path
        instances = tuple(self._instances())
        # "cat.jpg.json"; before 2019 it was "cat.json", and the image is found by its stem
        named = self.document.get("name")
        names = [path.stem, *([named] if isinstance(named, str) and named else [])]
        near = [path.parent.parent / "img", path.parent]
        image = gather.find(names, path, len(instances), near=near)
        if image is None:
            return
        extent = extent_of(item.box for item in instances)
        frame = gather.frame(image, self._size(), extent, path, len(instances))
        if frame is None:
            return
        split = gather.source.split_of(path) or self._split()
        kept = tuple(placed(item, frame) for item in instances)
        gather.add(Sample(image, frame.size, kept, split, path))

    def _size(self) -> Size | None:
        size = self.document.get("size")
        if not isinstance(size, Mapping):
            return None
        return size_of(size.get("width"), size.get("height"))

    def _split(self) -> str | None:
        """The split that a tag of the image names; other tags say nothing about objects."""
        tags = _tags(self.document)
        found = {split for name in tags if (split := split_name(name))}
        rest = [name for name in tags if split_name(name) is None]
        if rest:
            self.gather.report.lost["image-tags"] += len(rest)
            text = f"tags of the whole image are left out: {', '.join(map(repr, rest[:5]))}"
            self.gather.report.add("supervisely.image-tags", "info", text, self.path)
        return found.pop() if len(found) == 1 else None

    def _instances(self) -> Iterator[Instance]:
        size = self._size()
        others: Counter[str] = Counter()
        found = []
        for place, record in enumerate(self.document["objects"], start=1):
            try:
                kind = _kind(record)
                if kind not in _AREAS:
                    others[kind] += 1
                    continue
                found.append((_group(record), _instance(record, kind, size, self.index)))
            except UNREADABLE as error:
                self.gather.report.lost["objects-unreadable"] += 1
                text = f"object {place} is lost: {why(error)}"
                self.gather.report.add("supervisely.bad-object", "error", text, self.path)
        for kind, count in others.items():
            self.gather.report.lost[f"shapes-{kind}"] += count
            text = f"{count} of type {kind}, which is no area; left out"
            self.gather.report.add("supervisely.no-area", "warning", text, self.path)
        return join_parts(found)


def _kind(record: _Record) -> str:
    """The type of an object; files from before 2019 leave it to be seen."""
    if record.get("geometryType"):
        return str(record["geometryType"])
    if record.get("bitmap"):
        return "bitmap"
    return "rectangle" if len(record["points"]["exterior"]) == 2 else "polygon"


def _group(record: _Record) -> str | None:
    """What binds the parts of one object together."""
    key = record.get("instance")
    return key if isinstance(key, str) and key else None


def _instance(record: _Record, kind: str, size: Size | None, index: CategoryIndex) -> Instance:
    mask: Mask | None
    label = label_of(record["classTitle"])
    if kind in _BITMAPS:
        box, mask = read_bitmap(record[kind] if kind in record else record["bitmap"], size)
    elif kind == "polygon":
        mask = _polygon(record["points"])
        box = rings_box(mask.parts)
    else:
        box, mask = _rectangle(record["points"]), None
    return Instance(index.add(label), box, mask, attributes=_attributes(record))


def _rectangle(given: _Record) -> Box:
    corners = points(given["exterior"])
    if len(corners) != 2:
        raise ValueError(f"a rectangle needs 2 points, it has {len(corners)}")
    return rings_box([corners])


def _polygon(given: _Record) -> PolygonMask:
    holes = tuple(outline(ring) for ring in given.get("interior") or ())
    return PolygonMask((outline(given["exterior"]),), holes)


def _attributes(record: _Record) -> Mapping[str, Json]:
    found = _tags(record)
    if record.get("description"):
        found.setdefault("description", record["description"])
    group = _group(record)
    if group is not None:
        found.setdefault("group_id", group)
    return or_none(found)


def _tags(record: _Record) -> dict[str, Json]:
    """Names and values of tags; one without a value is simply true."""
    found: dict[str, Json] = {}
    tags = record.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str):
            found[tag] = True
        elif isinstance(tag, Mapping) and isinstance(tag.get("name"), str):
            value = tag.get("value")
            found[tag["name"]] = True if value is None else value
    return found


FORMAT = Format(
    name="supervisely",
    title="Supervisely",
    description="meta.json, and datasets of img/ and ann/ with one JSON file per image",
    sniff=sniff,
    read=read,
)
