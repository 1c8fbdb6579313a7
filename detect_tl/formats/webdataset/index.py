"""shards.json beside the folder shards: the classes in their order, and how many pictures each
shard has.

It does not lie in the folder, where programs that read all files of one would take it for a shard.
The shards can be read without it, with the classes in alphabetical order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import Category
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json, write_json
from detect_tl.formats.source import Source

_KIND = "detect-tl shards"


@dataclass(frozen=True, slots=True)
class Index:
    """shards: pictures by the name of the file."""

    categories: tuple[Category, ...] = ()
    shards: Mapping[str, int] = field(default_factory=dict)


def index_path(folder: Path) -> Path:
    """Where the index of the shards in a folder lies."""
    if not folder.name or folder.name == "..":
        folder = folder.resolve()
    return folder.with_name(f"{folder.name}.json")


def write_index(folder: Path, categories: Sequence[Category], shards: Mapping[str, int]) -> None:
    value = {
        "format": _KIND,
        "categories": [{"name": c.name, "supercategory": c.supercategory} for c in categories],
        "shards": [{"file": name, "images": count} for name, count in shards.items()],
    }
    write_json(index_path(folder), value)


def read_index(folder: Path, source: Source) -> Index | None:
    """The index of a folder; None where there is none that is ours.

    That of the folder which the user named lies outside of it, and is read all the same.
    Raises DataError for one that is damaged.
    """
    path = index_path(folder)
    outside = folder == source.root and path.is_file() and not path.is_symlink()
    if not outside and path not in source.files:
        return None
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != _KIND:
        return None
    try:
        return Index(_categories(document["categories"]), _shards(document["shards"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"not an index of shards: {error!r}",
            path=path,
            hint="Without the file shards are read all the same, classes in alphabetical order.",
        ) from error


def _categories(records: Any) -> tuple[Category, ...]:
    found = [Category(_text(r["name"]), _text(r["supercategory"])) for r in records]
    if not all(c.name.strip() for c in found):
        raise ValueError("a class has no name")
    return tuple(found)


def _shards(records: Any) -> dict[str, int]:
    return {_text(record["file"]): int(record["images"]) for record in records}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
