"""Create ML: one JSON list of images beside them, with boxes given by their centres.

Apple's tool reads the keys "imagefilename" and "annotation"; Roboflow and LabelImg write "image"
and "annotations". Pixels are counted from the top left. Apple also lets a program read fractions
of the image, but the file does not say so: all numbers of such a file lie between 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, alphabetical
from detect_tl.formats.recognise import recognise
from detect_tl.formats.records import (
    UNREADABLE,
    label_of,
    leave_out_unlisted,
    numbers,
    or_none,
    plain,
    why,
)
from detect_tl.formats.source import Source

_LIST = re.compile(rb"(\xef\xbb\xbf)?\s*\[")
_OBJECTS = re.compile(rb'"annotations?"\s*:\s*\[')
_COORDINATES = re.compile(rb'"coordinates"\s*:\s*\{')
# The first image of a file may be one without objects.
_FIRST = re.compile(
    rb'(\xef\xbb\xbf)?\s*\[\s*\{\s*"image(filename)?"\s*:\s*"[^"]*"\s*,'
    rb'(\s*"verified"\s*:\s*\w+\s*,)?\s*"annotations?"\s*:\s*\['
)
_BOX = ("x", "y", "width", "height")


def sniff(source: Source) -> Sniff:
    return recognise(source, (".json",), _is_create_ml, 'a list of images and "coordinates"')


def _is_create_ml(ends: bytes) -> bool:
    full = _LIST.match(ends) and _OBJECTS.search(ends) and _COORDINATES.search(ends)
    return bool(full or _FIRST.match(ends))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError, with file and line, for a file that is not JSON or no list.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    for path in sniff(source).files:
        document = read_json(path)
        report.read["annotation-files"] += 1
        if not isinstance(document, list):
            raise DataError("not a Create ML file: it is no list of images", path=path)
        _File(path, gather, index).read(document)
    leave_out_unlisted(gather)
    return gather.dataset(index, alphabetical(c.name for c in index.categories()))


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    gather: Gatherer
    index: CategoryIndex

    def read(self, document: Sequence[Any]) -> None:
        records = list(self._records(document))
        fractions = _are_fractions([item.box for _, items in records for item in items])
        if fractions:
            text = "all numbers lie between 0 and 1: taken for fractions of the image"
            self.gather.report.add("createml.fractions", "info", text, self.path)
        for name, items in records:
            self._add(name, items, fractions=fractions)

    def _records(self, document: Sequence[Any]) -> Iterator[tuple[str, list[Instance]]]:
        for place, record in enumerate(document, start=1):
            try:
                name = record["image"] if "image" in record else record["imagefilename"]
                objects = record.get("annotations", record.get("annotation")) or []
                if not isinstance(name, str) or not isinstance(objects, list):
                    raise ValueError("it names no image, or its annotations are no list")
            except UNREADABLE as error:
                self._lose(f"record {place} is lost: {why(error)}")
                continue
            yield name, list(self._objects(objects, name))

    def _objects(self, objects: Sequence[Any], name: str) -> Iterator[Instance]:
        for place, record in enumerate(objects, start=1):
            try:
                yield _instance(record, self.index)
            except UNREADABLE as error:
                self._lose(f"annotation {place} of {name!r} is lost: {why(error)}")

    def _lose(self, text: str) -> None:
        self.gather.report.lost["objects-unreadable"] += 1
        self.gather.report.add("createml.bad-object", "error", text, self.path)

    def _add(self, name: str, items: Sequence[Instance], *, fractions: bool) -> None:
        gather = self.gather
        near = [self.path.parent, self.path.parent / "images"]
        image = gather.find([name], self.path, len(items), near=near)
        header = None if image is None else gather.header(image, len(items))
        if image is None or header is None:
            return
        w, h = header.size
        if fractions:
            gather.report.changed["objects-given-as-fractions"] += len(items)
            items = [replace(i, box=_scaled(i.box, (w, h, w, h))) for i in items]
        split = gather.source.split_of(image) or gather.source.split_of(self.path)
        gather.add(Sample(image, header.size, tuple(items), split, self.path))


def _instance(record: Mapping[str, Any], index: CategoryIndex) -> Instance:
    coordinates = record["coordinates"]
    box = Box.from_cxcywh(*numbers(coordinates[key] for key in _BOX))
    label = label_of(record["label"])
    more = {k: v for k, v in plain(record).items() if k not in ("label", "coordinates")}
    return Instance(index.add(label), box, attributes=or_none(more))


def _scaled(box: Box, by: tuple[float, float, float, float]) -> Box:
    return Box(*(value * factor for value, factor in zip(box, by, strict=True)))


def _are_fractions(boxes: Sequence[Box]) -> bool:
    """Whether all boxes of a file lie in the unit square: a file has one unit for all of them."""
    return bool(boxes) and all(
        max(box.width, box.height) <= 1 and min(box) >= -0.5 and max(box) <= 1.5 for box in boxes
    )


FORMAT = Format(
    name="createml",
    title="Create ML",
    description="JSON lists of images with boxes by their centres, as Apple and Roboflow write",
    sniff=sniff,
    read=read,
)
