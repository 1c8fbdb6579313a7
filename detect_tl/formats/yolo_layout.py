"""Where a YOLO data set keeps its labels, its class names and its splits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from detect_tl.core.dataset import SPLITS
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.formats.source import Source

_YAML_KEYS = ("train", "val", "valid", "validation", "test")
_NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")


def find_yaml(source: Source) -> Path | None:
    """The data.yaml of the source: a .yaml file with class names and a split, or of that name."""
    found = [p for p in source.candidates(".yaml", ".yml") if _is_data_yaml(p, source.peek(p))]
    return min(found, key=lambda p: (len(p.parts), p.name != "data.yaml", p), default=None)


def _is_data_yaml(path: Path, head: bytes) -> bool:
    keys = {line.split(b":")[0].strip() for line in head.splitlines() if b":" in line}
    has_split = any(key.encode() in keys for key in _YAML_KEYS)
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
        mark = getattr(error, "problem_mark", None)
        raise DataError(
            f"broken YAML: {getattr(error, 'problem', None) or error}",
            path=path,
            line=mark.line + 1 if mark else None,
            hint="Look at the indentation and the quotes around that line.",
        ) from error
    if not isinstance(document, dict):
        raise DataError("not a data.yaml: no `key: value` lines", path=path)
    return document


def find_names(source: Source, data_yaml: Path | None) -> list[str]:
    """Class names in the order of their numbers; empty when nothing declares them."""
    if data_yaml is not None:
        return _names_of(read_yaml(data_yaml), data_yaml)
    for wanted in _NAME_FILES:
        for path in source.files:
            if path.name.casefold() == wanted:
                return _lines(path)
    for path in source.files:
        if path.suffix == ".names":
            return _lines(path)
    return []


def _names_of(document: Mapping[str, Any], path: Path) -> list[str]:
    names = document.get("names")
    if isinstance(names, dict):
        try:
            numbers = sorted((int(key), str(value)) for key, value in names.items())
        except (TypeError, ValueError) as error:
            raise DataError(f"`names` has a key that is no number: {error}", path=path) from error
        if [number for number, _ in numbers] != list(range(len(numbers))):
            raise DataError(
                f"`names` must be numbered 0 to {len(numbers) - 1} without a gap", path=path
            )
        names = [name for _, name in numbers]
    if isinstance(names, list):
        return _unique([str(name).strip() for name in names], path)
    if isinstance(document.get("nc"), int):
        return [f"class_{k}" for k in range(document["nc"])]
    raise DataError(
        "`names` is neither a list nor numbered lines",
        path=path,
        hint="Write for example `names: [cat, dog]`.",
    )


def _unique(names: list[str], path: Path) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"class {twice[0]!r} is declared twice", path=path)
    return names


def _lines(path: Path) -> list[str]:
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    return _unique([line.strip() for line in lines if line.strip()], path)


class LabelFiles:
    """The label files of a data set, to be looked up by image."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self._by_path = {os.path.normcase(p): p for p in self._files}
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self._files:
            self._by_stem[path.stem].append(path)
        self.used: set[Path] = set()

    def of(self, image: Path) -> Path | None:
        """The label file of an image: in the `labels` that mirrors its `images`, beside it, or
        the only one of its name."""
        for path in (_mirrored(image), image.with_suffix(".txt")):
            found = self._by_path.get(os.path.normcase(path)) if path else None
            if found is not None:
                self.used.add(found)
                return found
        same = self._by_stem.get(image.stem, [])
        if len(same) == 1 and same[0] not in self.used:
            self.used.add(same[0])
            return same[0]
        return None

    def unused(self) -> list[Path]:
        """Label files that no image asked for."""
        return [path for path in self._files if path not in self.used]


def _mirrored(image: Path) -> Path | None:
    parts = list(image.with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].casefold() == "images":
            parts[place] = "labels" if parts[place] == "images" else "Labels"
            return Path(*parts)
    return None


def split_finder(
    source: Source, data_yaml: Path | None, report: Report
) -> Callable[[Path], str | None]:
    """A function from image to split: as data.yaml says, else as a folder name says."""
    folders: list[tuple[Path, str]] = []
    listed: dict[str, str] = {}
    places = None if data_yaml is None else _Places(source, data_yaml)
    for split, entry in _entries(places):
        path = places.find(entry) if places else None
        if path is None:
            text = f"{split}: {entry[:200]} is not there; folders named {split} are used instead"
            report.add("yolo.split-missing", "warning", text, data_yaml)
        elif places and path in places.files:
            _add_list(path, split, listed)
        else:
            folders.append((path.absolute(), split))
    if not folders and not listed:
        _add_darknet_lists(source, listed)

    def split_of(image: Path) -> str | None:
        absolute = image.absolute()
        if str(absolute) in listed:
            return listed[str(absolute)]
        inside = [(len(f.parts), s) for f, s in folders if f in absolute.parents]
        return max(inside, key=lambda item: item[0])[1] if inside else source.split_of(image)

    return split_of


class _Places:
    """The files and folders of a source, to be found by what a data.yaml calls them.

    Nothing outside the source is looked at, wherever an entry may lead.
    """

    def __init__(self, source: Source, data_yaml: Path) -> None:
        self.document = read_yaml(data_yaml)
        self._top = source.root.absolute()
        self._root = source.root
        self.files = set(source.files)
        self._known = self.files.union(*(p.parents for p in {p.parent / "_" for p in self.files}))
        base, root = data_yaml.absolute().parent, str(self.document.get("path") or "")
        # The root in data.yaml is often that of another machine.
        self._starts = [base / root, base, base / Path(root).name, self._top]

    def find(self, entry: str) -> Path | None:
        """The file or folder that an entry leads to, as the source names it."""
        plain = entry.replace("\\", "/")
        for start in self._starts:
            for name in (plain, plain.removeprefix("../").removeprefix("./")):
                path = Path(os.path.normpath(start / name))
                if path.is_relative_to(self._top):
                    found = self._root / path.relative_to(self._top)
                    if found in self._known:
                        return found
        return None


def _entries(places: _Places | None) -> list[tuple[str, str]]:
    """The splits and what data.yaml names for them."""
    if places is None:
        return []
    names = dict(zip(_YAML_KEYS, ("train", "val", "val", "val", "test"), strict=True))
    entries: list[tuple[str, str]] = []
    for key, split in names.items():
        value = places.document.get(key)
        several: Sequence[Any] = value if isinstance(value, list) else [value]
        entries += [(split, str(v)) for v in several if v]
    return entries


def _add_list(path: Path, split: str, listed: dict[str, str]) -> None:
    """Note the images of a list file; its lines are relative to its own folder."""
    for line in path.read_text("utf-8-sig", errors="replace").splitlines():
        name = line.strip()
        if name:
            listed.setdefault(os.path.normpath(path.absolute().parent / name), split)


def _add_darknet_lists(source: Source, listed: dict[str, str]) -> None:
    """Darknet: train.txt, val.txt, test.txt at the root, with paths of another root."""
    for path in source.files:
        if path.parent == source.root and path.stem in SPLITS and path.suffix == ".txt":
            for line in path.read_text("utf-8-sig", errors="replace").splitlines():
                name = line.strip()
                match = source.images.find([name], near=[source.root]) if name else None
                if match is not None and match.path is not None:
                    listed.setdefault(str(match.path.absolute()), path.stem)
