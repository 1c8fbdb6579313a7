"""The XML files of Pascal VOC, many at a time.

Most of them come from a few tools that write the same few elements in the same order. Their
objects are taken by one pattern, several times as fast as by building a tree; a file that does not
fit the pattern to its last byte is parsed as XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

from detect_tl.core.columns import InstanceTable, Rows, TableBuilder
from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Instance, Json
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.core.parallel import spread
from detect_tl.formats.voc.object import read_objects
from detect_tl.formats.xml import parse_xml, read_bytes, text_of

# Files parsed by one process at a time; fewer are not worth another process.
_TOGETHER = 1000

_PLAIN_TEXT = rb"[^<>&\x00-\x1f]*"
_TEXT = rb"(%s)" % _PLAIN_TEXT
_CORNER = rb"<(xmin|ymin|xmax|ymax)>\s*(\d{1,9}(?:\.\d{1,9})?)\s*</\%d>\s*"
_FLAGS = b"|".join(b"%s>[01]</%s" % (f, f) for f in (b"truncated", b"difficult", b"occluded"))
# An object of LabelImg, Roboflow and others that has no attributes but flags.
_OBJECT = re.compile(
    rb"\s*<object>\s*<name>%s</name>\s*(?:<pose>Unspecified</pose>\s*)?((?:<(?:%s)>\s*){0,3})"
    rb"<bndbox>\s*"
    % (_TEXT, _FLAGS)
    + b"".join(_CORNER % place for place in (3, 5, 7, 9))
    + rb"</bndbox>\s*</object>"
)
# What LabelImg and those who write alike put before the objects.
_HEAD = re.compile(
    rb"(?:<\?xml[^<>?]*\?>)?\s*<annotation(?: verified=\"(?:yes|no)\")?>\s*"
    rb"(?:<folder>%s</folder>\s*)?<filename>(%s)</filename>\s*(?:<path>(%s)</path>\s*)?"
    rb"(?:<source>\s*<database>%s</database>\s*</source>\s*)?"
    rb"<size>\s*<width>(\d{1,9})</width>\s*<height>(\d{1,9})</height>\s*(?:<depth>\d?</depth>\s*)?"
    rb"</size>\s*(?:<segmented>[01]</segmented>\s*)?" % ((_PLAIN_TEXT,) * 4)
)
_FLAG = re.compile(rb"<(\w+)>([01])<")
_END = b"</annotation>"
_CORNERS = (b"xmin", b"ymin", b"xmax", b"ymax")


@dataclass(frozen=True, slots=True)
class VocFile:
    """What one file says. instances: in pixels of the image that it describes.

    filename, place: what it calls its image, without and with folders. size: when it gives one.
    """

    path: Path
    filename: str
    place: str
    size: Size | None
    instances: Sequence[Instance]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some files. names: of the categories in `table`. offsets: where the objects of each begin."""

    heads: list[tuple[str, str, Size | None]]
    table: InstanceTable
    offsets: list[int]
    names: list[str]
    report: Report


def read_files(paths: Sequence[Path], index: CategoryIndex, report: Report) -> Iterator[VocFile]:
    """Parse files on all cores, in their order; new classes are added to `index`.

    Raises DataError, with file and line, for a file that is not well-formed XML.
    """
    chunks = [paths[k : k + _TOGETHER] for k in range(0, len(paths), _TOGETHER)]
    for chunk, found in zip(chunks, spread(_parse_files, chunks), strict=True):
        report.merge(found.report)
        table = found.table.renumbered([index.add(name) for name in found.names])
        edges = pairwise(found.offsets)
        for path, head, (start, stop) in zip(chunk, found.heads, edges, strict=True):
            report.read["annotation-files"] += 1
            yield VocFile(path, *head, Rows(table, start, stop))


def _parse_files(paths: Sequence[Path]) -> _Chunk:
    index, report, builder = CategoryIndex(), Report(), TableBuilder()
    heads, offsets = [], [0]
    for path in paths:
        data = read_bytes(path)
        head = _plain(data, index, builder) or _any(data, path, index, builder, report)
        heads.append(head)
        offsets.append(len(builder))
    names = [category.name for category in index.categories()]
    return _Chunk(heads, builder.build(), offsets, names, report)


_Head = tuple[str, str, Size | None]


def _any(
    data: bytes, path: Path, index: CategoryIndex, builder: TableBuilder, report: Report
) -> _Head:
    root = parse_xml(data, path)
    for item in read_objects(root, path, index, report):
        builder.add(item)
    return text_of(root, "filename"), text_of(root, "path"), _size(root)


def _plain(data: bytes, index: CategoryIndex, builder: TableBuilder) -> _Head | None:
    """Take the objects by pattern; None, and nothing taken, when they do not all fit it."""
    first = data.find(b"<object>")
    if first < 0 or (b"encoding" in data[:200] and b"utf-8" not in data[:200].lower()):
        return None
    found, end = [], first
    while match := _OBJECT.match(data, end):
        found.append(match.groups())
        end = match.end()
    if data[end:].strip() != _END:
        return None
    try:
        head = _head(data[:first])
        objects = [_object(groups) for groups in found]
    except (DataError, ValueError, KeyError):
        return None
    for name, box, attributes in objects:
        builder.add_box(index.add(name), box, attributes)
    return head


def _object(groups: Sequence[bytes]) -> tuple[str, Sequence[float], Mapping[str, Json]]:
    """Name, box and attributes of what the pattern has found.

    Raises ValueError or KeyError when the pattern has been too generous.
    """
    name, flags, a, x1, b, y1, c, x2, d, y2 = groups
    text = name.decode().strip()
    if not text:
        raise ValueError("it has no name")
    box = float(x1), float(y1), float(x2), float(y2)
    if (a, b, c, d) != _CORNERS:
        at = dict(zip((a, b, c, d), box, strict=True))
        box = at[b"xmin"], at[b"ymin"], at[b"xmax"], at[b"ymax"]
    return text, box, _flags(flags) if flags else NO_ATTRIBUTES


@lru_cache
def _flags(text: bytes) -> Mapping[str, Json]:
    """The flags that are set. Raises ValueError for one that is there twice."""
    said = _FLAG.findall(text)
    if len({flag for flag, _ in said}) < len(said):
        raise ValueError("a flag is there twice")
    return {flag.decode(): True for flag, value in said if value == b"1"} or NO_ATTRIBUTES


def _head(data: bytes) -> _Head:
    """What stands before the objects, by pattern or else as a tree.

    Raises DataError or ValueError when it is not what stands before the objects of an annotation.
    """
    match = _HEAD.fullmatch(data)
    if match:
        filename, place, width, height = match.groups(b"")
        return filename.decode().strip(), place.decode().strip(), Size(int(width), int(height))
    root = parse_xml(data + _END, Path())
    if root.tag != "annotation" or root.find("object") is not None:
        raise ValueError("it is no annotation")
    return text_of(root, "filename"), text_of(root, "path"), _size(root)


def _size(root: Element) -> Size | None:
    width, height = text_of(root, "size/width"), text_of(root, "size/height")
    try:
        return Size(int(float(width)), int(float(height)))
    except (ValueError, OverflowError):
        return None
