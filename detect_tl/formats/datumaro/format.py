"""Datumaro: one JSON file per subset, with categories and items; also written by CVAT.

An item is an image; its annotations refer to labels by their place in the list. Annotations of
one group describe one object, so that outlines of a group and a label are its parts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.datumaro.object import group_of, parse_object
from detect_tl.formats.gather import Gatherer, extent_of, placed
from detect_tl.formats.no_area import NoAreaError, say_no_area
from detect_tl.formats.recognise import recognise
from detect_tl.formats.records import (
    UNREADABLE,
    join_parts,
    label_of,
    leave_out_unlisted,
    size_of,
    split_of_stem,
    why,
)
from detect_tl.formats.source import Source

_ITEMS = re.compile(rb'"items"\s*:\s*\[')
_CATEGORIES = re.compile(rb'"categories"\s*:\s*\{')


def sniff(source: Source) -> Sniff:
    return recognise(source, (".json",), _is_datumaro, '"items" and an object of "categories"')


def _is_datumaro(ends: bytes) -> bool:
    return bool(_ITEMS.search(ends) and _CATEGORIES.search(ends))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims; the name of a file is that of its split.

    Raises DataError, with file and line, for a file that is not JSON or lacks its items.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    for path in sniff(source).files:
        document = read_json(path)
        report.read["annotation-files"] += 1
        if not isinstance(document, dict) or not isinstance(document.get("items"), list):
            raise DataError('not a Datumaro file: its "items" is no list', path=path)
        _File(path, gather, _labels(document, path, index, report)).read(document["items"])
    leave_out_unlisted(gather)
    return gather.dataset(index)


def _labels(
    document: Mapping[str, Any], path: Path, index: CategoryIndex, report: Report
) -> list[int | None]:
    """The category of every label id; None for a label that cannot be read."""
    try:
        records = (document["categories"].get("label") or {"labels": []})["labels"]
        if not isinstance(records, list):
            raise TypeError
    except UNREADABLE:
        hint = "Export it again, with its label categories."
        raise DataError('its "categories" has no list of labels', path=path, hint=hint) from None
    found: list[int | None] = []
    for place, record in enumerate(records):
        try:
            name, parent = label_of(record["name"]), record.get("parent")
            found.append(index.add(name, str(parent or "")))
        except UNREADABLE as error:
            found.append(None)
            text = f"label {place} is lost: {why(error)}"
            report.add("datumaro.bad-label", "error", text, path)
    return found


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    gather: Gatherer
    labels: Sequence[int | None]

    def read(self, items: Sequence[Any]) -> None:
        for place, item in enumerate(items, start=1):
            if not isinstance(item, Mapping) or not isinstance(item.get("annotations", []), list):
                self._lose(f"item {place} is lost: it is no object with a list of annotations")
                continue
            self._add(item, list(self._instances(item)))

    def _add(self, item: Mapping[str, Any], instances: Sequence[Instance]) -> None:
        media = _media(item)
        names = [str(n) for n in (media.get("path"), item.get("id")) if n not in (None, "")]
        subset = self.path.stem
        root = self.path.parent.parent
        near = [root / "images" / subset, root / "images", root, self.path.parent]
        image = self.gather.find(names, self.path, len(instances), near=near, hints=[subset])
        if image is None:
            return
        extent = extent_of(i.box for i in instances)
        frame = self.gather.frame(image, _declared(media), extent, self.path, len(instances))
        if frame is None:
            return
        split = split_of_stem(subset) or self.gather.source.split_of(image)
        kept = tuple(placed(i, frame) for i in instances)
        self.gather.add(Sample(image, frame.size, kept, split, self.path))

    def _instances(self, item: Mapping[str, Any]) -> Iterator[Instance]:
        others: Counter[str] = Counter()
        found = []
        for place, record in enumerate(item.get("annotations", []), start=1):
            try:
                found.append((group_of(record), parse_object(record, self.labels)))
            except NoAreaError as error:
                others[error.kind] += 1
            except UNREADABLE as error:
                code = getattr(error, "code", "datumaro.bad-object")
                text = f"annotation {place} of {item.get('id')!r} is lost: {why(error)}"
                self._lose(text, code)
        where, code = repr(item.get("id")), "datumaro.no-area"
        say_no_area(others, where, self.path, self.gather.report, code=code, what="shape")
        return join_parts(found)

    def _lose(self, text: str, code: str = "datumaro.bad-object") -> None:
        self.gather.report.lost["objects-unreadable"] += 1
        self.gather.report.add(code, "error", text, self.path)


def _media(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the item says of its image; older files keep it in "media" as well."""
    for key in ("image", "media"):
        media = item.get(key)
        if isinstance(media, Mapping) and media.get("path"):
            return media
    return {}


def _declared(media: Mapping[str, Any]) -> Size | None:
    size = media.get("size")  # height first
    return size_of(size[1], size[0]) if isinstance(size, list) and len(size) == 2 else None


FORMAT = Format(
    name="datumaro",
    title="Datumaro",
    description="JSON files of items and categories, one per subset, also written by CVAT",
    sniff=sniff,
    read=read,
)
