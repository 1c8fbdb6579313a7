"""What the files of VIA hold, whichever version and export: images, regions and attributes.

VIA 1 and 2 export an object of images, as a project or bare, or a table with a row per region.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.findings import Report
from detect_tl.formats.csv_table.text import read_table
from detect_tl.formats.records import UNREADABLE, why
from detect_tl.formats.via import version3

PROJECT = "_via_img_metadata"
COLUMNS = ("filename", "region_shape_attributes", "region_attributes")

_STRING_OR_UNDEFINED = re.compile(r'"(?:[^"\\]|\\.)*"|\bundefined\b')


@dataclass(frozen=True, slots=True)
class Region:
    """shape: its kind ("name") and coordinates. said: its attributes. line: of the table."""

    shape: Mapping[str, Any]
    said: Mapping[str, Any]
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """An image as its file names it, and its regions."""

    name: str
    regions: Sequence[Region]


@dataclass(slots=True)
class ViaFile:
    """options: the values that a project offers for an attribute, in its order."""

    path: Path
    report: Report
    images: list[Described] = field(default_factory=list)
    options: dict[str, list[str]] = field(default_factory=dict)

    def lose(self, text: str, line: int | None = None) -> None:
        self.report.lost["objects-unreadable"] += 1
        self.report.add("via.bad-region", "error", text, self.path, line)


def read_via(path: Path, report: Report) -> ViaFile:
    """Raise DataError, with the line, for a file that is no JSON or table, or not VIA's."""
    found = ViaFile(path, report)
    if path.suffix.lower() == ".json":
        _read_json(found, read_json(path))
    else:
        _read_table(found)
    return found


def _read_json(found: ViaFile, document: Any) -> None:
    if not isinstance(document, dict):
        raise DataError("not a VIA file: it is no object of images", path=found.path)
    if version3.is_version_3(document):
        for name, regions in version3.images_of(document, found.lose):
            found.images.append(Described(name, [Region(*region) for region in regions]))
        found.options.update(version3.options_of(document))
        return
    images = document.get(PROJECT, document)
    if not isinstance(images, dict):
        raise DataError("not a VIA file: its images are no object", path=found.path)
    found.options.update(_options(document.get("_via_attributes")))
    for key, record in images.items():
        try:
            name, regions = record["filename"], record.get("regions") or []
            if not isinstance(name, str) or not name.strip():
                raise ValueError("it names no file")
            listed = regions.values() if isinstance(regions, dict) else regions
            if not isinstance(listed, list) and not isinstance(regions, dict):
                raise ValueError("its regions are no list")
        except UNREADABLE as error:
            found.report.lost["images-unreadable"] += 1
            text = f"image {key[:80]!r} is lost: {why(error)}"
            found.report.add("via.bad-image", "error", text, found.path)
            continue
        found.images.append(Described(name, list(_regions(found, name, listed))))


def _regions(found: ViaFile, name: str, records: Any) -> Iterator[Region]:
    for place, record in enumerate(records, start=1):
        try:
            shape, said = record["shape_attributes"], record.get("region_attributes") or {}
            if not isinstance(shape, dict) or not isinstance(said, Mapping):
                raise ValueError("its attributes are no object")
        except UNREADABLE as error:
            found.lose(f"region {place} of {name!r} is lost: {why(error)}")
            continue
        yield Region(shape, said)


def _options(attributes: Any) -> Iterator[tuple[str, list[str]]]:
    regions = attributes.get("region") if isinstance(attributes, dict) else None
    for name, attribute in regions.items() if isinstance(regions, dict) else ():
        options = attribute.get("options") if isinstance(attribute, dict) else None
        if isinstance(options, dict):
            yield name, [option.strip() for option in options if option.strip()]


def _read_table(found: ViaFile) -> None:
    columns, rows = read_table(found.path, COLUMNS)
    images: dict[tuple[str, str], list[Region]] = {}
    mended: list[int] = []
    for line, cells in rows:
        row = {name: cells[place] for name, place in columns.items() if place < len(cells)}
        name = row.get("filename", "")
        if not name:
            found.lose("the row names no file", line)
            continue
        # Two files of one name, from different folders, differ in their size.
        regions = images.setdefault((name, row.get("file_size", "")), [])
        try:
            shape, _ = _object(row["region_shape_attributes"])
            said, undefined = _object(row["region_attributes"])
        except UNREADABLE as error:
            found.lose(f"a region of {name!r} is lost: {why(error)}", line)
            continue
        if undefined:
            mended.append(line)
        if shape:
            regions.append(Region(shape, said, line))
    found.images += [Described(name, regions) for (name, _), regions in images.items()]
    if mended:
        found.report.changed["undefined-attributes-left-out"] += len(mended)
        text = f"{len(mended)} rows have attributes that are undefined, which is no JSON"
        found.report.add("via.undefined", "info", f"{text}; left out", found.path, mended[0])


def _object(cell: str) -> tuple[Mapping[str, Any], bool]:
    """The object in a cell, and whether it had an `undefined` in it, as JavaScript calls null."""
    undefined = False
    try:
        value = orjson.loads(cell)
    except orjson.JSONDecodeError:
        bare = _STRING_OR_UNDEFINED.sub(lambda m: "null" if m[0] == "undefined" else m[0], cell)
        undefined = bare != cell
        if not undefined:
            raise ValueError("its attributes are no JSON") from None
        value = orjson.loads(bare)
    if not isinstance(value, dict):
        raise ValueError("its attributes are no object")
    return value, undefined
