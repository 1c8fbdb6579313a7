"""data.yaml: what Ultralytics wants to know of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.yaml_files import broken_yaml
from detect_tl.formats.source import Source

SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

# No data set has as many; a number beyond this would fill the memory with names.
MOST_CLASSES = 100_000


def find_yamls(source: Source) -> list[Path]:
    """The .yaml files with class names and a split, or called data.yaml; the topmost first."""
    found = [p for p in source.candidates(".yaml", ".yml") if _is_data_yaml(p, source.peek(p))]
    return sorted(found, key=lambda p: (len(p.parts), p.name != "data.yaml", p))


def _is_data_yaml(path: Path, head: bytes) -> bool:
    keys = {line.split(b":")[0].strip() for line in head.splitlines() if b":" in line}
    has_split = any(key.encode() in keys for key in SPLIT_KEYS)
    return (has_split or path.stem == "data") and bool(keys & {b"names", b"nc"})


class _PlainLoader(yaml.SafeLoader):
    """Knows no references: a few lines of them can stand for a text that fills the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has references (*), which no tool writes")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a data.yaml; raise DataError, with the line, when it is broken."""
    try:
        text = path.read_text("utf-8-sig", errors="replace")
        document = yaml.load(text, _PlainLoader)  # noqa: S506 - it is a safe one
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"broken YAML: {error}", path=path) from error
    except yaml.YAMLError as error:
        raise broken_yaml(error, path) from error
    if not isinstance(document, dict):
        raise DataError("not a data.yaml: no `key: value` lines", path=path)
    return document


def names_of(document: Mapping[str, Any], path: Path) -> list[str]:
    """The class names of a data.yaml in the order of their numbers; raise DataError if unclear."""
    names = document.get("names")
    if isinstance(names, dict):
        names = _in_order(names, path)
    if isinstance(names, list):
        return unique([str(name).strip() for name in names], path)
    number = document.get("nc")
    if isinstance(number, int) and 0 <= number <= MOST_CLASSES:
        return [f"class_{k}" for k in range(number)]
    raise DataError(
        "`names` is neither a list nor numbered lines",
        path=path,
        hint="Write for example `names: [cat, dog]`.",
    )


def _in_order(names: Mapping[Any, Any], path: Path) -> list[str]:
    try:
        numbers = sorted((int(key), str(value)) for key, value in names.items())
    except (TypeError, ValueError) as error:
        raise DataError(f"`names` has a key that is no number: {error}", path=path) from error
    if [number for number, _ in numbers] != list(range(len(numbers))):
        raise DataError(
            f"`names` must be numbered 0 to {len(numbers) - 1} without a gap", path=path
        )
    return [name for _, name in numbers]


def unique(names: list[str], path: Path) -> list[str]:
    """`names`; raise DataError when one of them stands there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"class {name!r} is declared twice", path=path)
        seen.add(name)
    return names


def keypoints_of(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """How many key points an object has, and how many numbers each (`kpt_shape`)."""
    shape = document.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(v, int) for v in shape):
        count, numbers = shape
        return (count, numbers) if count > 0 and numbers in (2, 3) else None
    return None


def check_count(document: Mapping[str, Any], path: Path, names: list[str], report: Report) -> None:
    """Say when `nc` and `names` of a data.yaml disagree; the names are followed."""
    number = document.get("nc")
    if isinstance(number, int) and number != len(names):
        text = f"nc is {number}, but there are {len(names)} names, which are followed"
        report.add("yolo.class-count", "warning", text, path)
