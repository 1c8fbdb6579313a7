"""index.json beside the shards: the classes in their order, and how many pictures each shard has.

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

INDEX = "index.json"
_KIND = "detect-tl shards"


@dataclass(frozen=True, slots=True)
class Index:
    """shards: pictures by the name of the file."""

    categories: tuple[Category, ...] = ()
    shards: Mapping[str, int] = field(default_factory=dict)


def write_index(folder: Path, categories: Sequence[Category], shards: Mapping[str, int]) -> None:
    value = {
        "format": _KIND,
        "categories": [{"name": c.name, "supercategory": c.supercategory} for c in categories],
        "shards": [{"file": name, "images": count} for name, count in shards.items()],
    }
    write_json(folder / INDEX, value)


def read_index(folder: Path, known: frozenset[Path]) -> Index | None:
    """The index of a folder; None where there is none that is ours.

    known: the files that may be read. Raises DataError for one that is damaged.
    """
    path = folder / INDEX
    if path not in known:
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
