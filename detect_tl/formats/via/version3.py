"""VIA 3: a project of files, views of them, and regions in "metadata", which refer to views.

Shapes are lists of numbers, the first of which tells their kind; attributes and their options
are referred to by their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from detect_tl.formats.records import UNREADABLE, number, why

_Record = Mapping[str, Any]
_Region = tuple[_Record, _Record]

_IMAGE = 2
_CHECKBOX = 2
_OTHER_SHAPES = {1: "point", 5: "line", 6: "polyline"}
_EXTREME_RECTANGLE = 8
_POLYGON = 7
_NAMED = {
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
}


def is_version_3(document: _Record) -> bool:
    return all(isinstance(document.get(k), Mapping) for k in ("metadata", "file", "view"))


def images_of(
    document: _Record, lose: Callable[[str], None]
) -> Iterator[tuple[str, list[_Region]]]:
    """The name of every image, and its regions as VIA 2 has them; `lose` is told of others."""
    found: dict[str, list[_Region]] = {}
    for view in document["view"]:
        try:
            found.setdefault(_name(document, view), [])
        except UNREADABLE as error:
            lose(f"view {view[:40]!r} is lost: {why(error)}")
    for key, record in document["metadata"].items():
        try:
            name = _name(document, str(record["vid"]))
            found[name].append((_shape(record.get("xy") or []), _said(document, record)))
        except UNREADABLE as error:
            lose(f"region {key[:40]!r} is lost: {why(error)}")
    yield from found.items()


def options_of(document: _Record) -> Iterator[tuple[str, list[str]]]:
    """The values on offer for every attribute, by its name."""
    attributes = document.get("attribute")
    for record in attributes.values() if isinstance(attributes, dict) else ():
        options = record.get("options") if isinstance(record, dict) else None
        if isinstance(options, dict) and options:
            texts = [value.strip() for value in options.values() if isinstance(value, str)]
            yield str(record.get("aname")), [text for text in texts if text]


def _name(document: _Record, view: str) -> str:
    """The file that a view shows; raise ValueError unless it is one image."""
    files = document["view"][view]["fid_list"]
    if not isinstance(files, list) or len(files) != 1:
        raise ValueError("its view does not show exactly one file")
    file = document["file"][str(files[0])]
    if file.get("type", _IMAGE) != _IMAGE:
        raise ValueError("its file is no image")
    name = file.get("fname") or file.get("src")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("its file has no name")
    return name


def _shape(xy: Sequence[Any]) -> _Record:
    """As VIA 2 would write it; raise ValueError for a shape that it does not know."""
    if not isinstance(xy, list):
        raise ValueError("its shape is no list")
    if not xy:
        return {"name": "point"}  # said of the whole image: nothing that has an area
    kind, values = int(number(xy[0])), xy[1:]
    if kind in _OTHER_SHAPES:
        return {"name": _OTHER_SHAPES[kind]}
    if kind == _POLYGON:
        return {"name": "polygon", "all_points_x": values[::2], "all_points_y": values[1::2]}
    if kind == _EXTREME_RECTANGLE:
        xs, ys = [number(x) for x in values[::2]], [number(y) for y in values[1::2]]
        sides = {"width": max(xs) - min(xs), "height": max(ys) - min(ys)}
        return {"name": "rect", "x": min(xs), "y": min(ys), **sides}
    if kind not in _NAMED:
        raise ValueError(f"there is no shape {kind}")
    name, keys = _NAMED[kind]
    return {"name": name, **dict(zip(keys, values, strict=True))}


def _said(document: _Record, record: _Record) -> _Record:
    """The attributes of a region by their names, with the texts of their options."""
    said: dict[str, Any] = {}
    for key, value in (record.get("av") or {}).items():
        attribute = document["attribute"][key]
        options = attribute.get("options") or {}
        name = str(attribute["aname"])
        if attribute.get("type") == _CHECKBOX:
            said[name] = {options[k]: True for k in str(value).split(",") if k in options}
        else:
            said[name] = options.get(value, value) if isinstance(value, str) else value
    return said
