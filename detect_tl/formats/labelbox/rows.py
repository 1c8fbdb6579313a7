"""The rows of a Labelbox export, one for every image, whichever version wrote them.

Today's has a JSON object per line, with the labels of every project that the image is in. The one
before is a list with a record for every label; it had a list of outlines per class at first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.core.geometry import Size
from detect_tl.formats.accounts import Account
from detect_tl.formats.records import size_of

_Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """An image and what was said of it. project: whose labels these are. video: it is none.

    outlines: of the oldest export, whose outlines stand under their classes.
    """

    names: tuple[str, ...]
    accounts: tuple[Account, ...]
    project: str = ""
    video: bool = False
    outlines: bool = False


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line (or place in the list) and content of every row; a str tells what is wrong with one.

    Raises DataError when the file cannot be read at all.
    """
    try:
        with path.open("rb") as stream:
            first = next((line for line in stream if line.strip()), b"")
        if path.suffix.lower() == ".json" and not _is_object(first):
            document = read_json(path)
            yield from enumerate(document if isinstance(document, list) else [document], start=1)
            return
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    try:
                        yield number, orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
                    except orjson.JSONDecodeError as error:
                        yield number, f"broken JSON: {error.msg}"
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error


def _is_object(line: bytes) -> bool:
    """Whether a line holds a whole object, as the lines of NDJSON do."""
    try:
        return isinstance(orjson.loads(line.removeprefix(b"\xef\xbb\xbf")), dict)
    except orjson.JSONDecodeError:
        return False


def parse_rows(record: Any) -> list[Row]:
    """The row of every project that a record has labels of, one without labels if there is none.

    Raises one of `records.UNREADABLE` when it is no row of Labelbox's.
    """
    if isinstance(record, dict):
        if isinstance(record.get("data_row"), dict):
            return _rows(record)
        if "Labeled Data" in record or "External ID" in record:
            return [_old_row(record)]
    raise ValueError("it is no row with data and labels")


def _rows(record: _Record) -> list[Row]:
    data = record["data_row"]
    names = _names(data, ("external_id", "global_key", "row_data"))
    media = record.get("media_attributes")
    size = _size(media, "width", "height")
    projects = record.get("projects")
    found = []
    for project, content in projects.items() if isinstance(projects, dict) else ():
        labels = content.get("labels") or []
        if not isinstance(labels, list):
            raise ValueError("its labels are no list")
        if labels:
            accounts = tuple(_account(label, size) for label in labels)
            found.append(Row(names, accounts, str(project), any(map(_has_frames, labels))))
    return found or [Row(names, ())]


def _account(label: _Record, size: Size | None) -> Account:
    objects = (label.get("annotations") or {}).get("objects") or []
    if not isinstance(objects, list):
        raise ValueError("its objects are no list")
    details, scores = label.get("label_details"), label.get("performance_details")
    told = details if isinstance(details, dict) else {}
    skipped = isinstance(scores, dict) and scores.get("skipped") is True
    return Account(
        objects,
        size,
        skipped,
        told.get("is_benchmark_reference") is True,
        str(told.get("updated_at") or told.get("created_at") or ""),
    )


def _has_frames(label: _Record) -> bool:
    annotations = label.get("annotations")
    return isinstance(annotations, dict) and bool(annotations.get("frames"))


def _old_row(record: _Record) -> Row:
    names = _names(record, ("External ID", "Labeled Data"))
    label = record.get("Label")
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            label = orjson.loads(label)
        except orjson.JSONDecodeError:
            raise ValueError("its label is broken JSON") from None
    skipped = record.get("Skipped") is True or label in ("Skip", "Skipped")
    updated = str(record.get("Updated At") or record.get("Created At") or "")
    size = _size(record.get("Media Attributes"), "width", "height")
    if not isinstance(label, dict):
        empty = (Account([], size, True),) if skipped else ()
        return Row(names, empty, str(record.get("Project Name") or ""))
    listed = isinstance(label.get("objects"), list)
    objects = label["objects"] if listed else list(_outlines(label))
    account = Account(objects, size, skipped, updated=updated)
    project = str(record.get("Project Name") or "")
    return Row(names, (account,), project, outlines=bool(objects) and not listed)


def _outlines(label: _Record) -> Iterator[Any]:
    """Objects as later exports have them, of lists of outlines by class."""
    for name, outlines in label.items():
        if name in ("classifications", "relationships"):
            continue
        if isinstance(outlines, str):
            # "well-known text" counted y from the bottom in some versions, and does not say so
            yield {"name": name, "annotation_kind": "well-known text"}
            continue
        for outline in outlines if isinstance(outlines, list) else ():
            if isinstance(outline, dict):
                yield {**outline, "name": name}
            else:
                yield {"name": name, "geometry": outline}


def _names(record: _Record, keys: Sequence[str]) -> tuple[str, ...]:
    found = (record.get(key) for key in keys)
    names = tuple(name for name in found if isinstance(name, str) and name.strip())
    if not names:
        raise ValueError("it names no image")
    return names


def _size(media: Any, width: str, height: str) -> Size | None:
    return size_of(media.get(width), media.get(height)) if isinstance(media, dict) else None
