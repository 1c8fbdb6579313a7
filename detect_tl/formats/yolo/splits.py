"""Which split an image belongs to: as data.yaml or Darknet's lists say, else as a folder says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl.core.findings import Report
from detect_tl.formats.lists import lines_of
from detect_tl.formats.source import Source
from detect_tl.formats.yolo.data_yaml import SPLIT_KEYS, read_yaml

# Lines of a list that lead to no image and are named one by one.
_MOST_NAMED = 3


def split_finder(
    source: Source, yamls: Sequence[Path], report: Report
) -> Callable[[Path], str | None]:
    """A function from an image to its split."""
    folders: list[tuple[Path, str]] = []
    listed: dict[Path, str] = {}
    for data_yaml in yamls:
        places = _Places(source, data_yaml)
        for split, entry in _entries(places.document):
            path = places.find(entry)
            if path is None:
                text = f"{split}: {entry[:200]} is not there; folders named {split} are used"
                report.add("yolo.split-missing", "warning", f"{text} instead", data_yaml)
            elif path in places.files:
                _add_list(source, path, split, listed, report)
            else:
                folders.append((path, split))
    if not folders and not listed:
        for path, split in _darknet_lists(source):
            _add_list(source, path, split, listed, report)

    def split_of(image: Path) -> str | None:
        if image in listed:
            return listed[image]
        inside = [(len(f.parts), s) for f, s in folders if f in image.parents]
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


def _entries(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The splits and what data.yaml names for them."""
    entries: list[tuple[str, str]] = []
    for key, split in SPLIT_KEYS.items():
        value = document.get(key)
        several: Sequence[Any] = value if isinstance(value, list) else [value]
        entries += [(split, str(v)) for v in several if v]
    return entries


def _add_list(
    source: Source, path: Path, split: str, listed: dict[Path, str], report: Report
) -> None:
    """Note the images of a list. Its lines are relative to its own folder, or paths of another
    machine, of which as much of the end is taken as leads to one image."""
    missing = 0
    for number, line in lines_of(path):
        match = source.images.find([line], near=[path.parent, source.root])
        if match.path is None:
            missing += 1
            if missing <= _MOST_NAMED:
                text = f"{line[:200]!r} leads to no image"
                report.add("yolo.list-missing", "warning", text, path, number)
        elif listed.setdefault(match.path, split) != split:
            text = f"{line} is in both {listed[match.path]} and {split}"
            text = f"{text}; kept in {listed[match.path]}"
            report.add("split.overlap", "warning", text, path, number)
    if missing:
        report.lost["list-entries-without-image"] += missing


def _darknet_lists(source: Source) -> list[tuple[Path, str]]:
    """The lists that obj.data names, else train.txt, val.txt, … at the root."""
    files = set(source.files)
    found: list[tuple[Path, str]] = []
    for path in source.files:
        if path.suffix == ".data":
            for _, line in lines_of(path):
                key, _, value = (part.strip() for part in line.partition("="))
                name = value.replace("\\", "/").rpartition("/")[2]
                if key in SPLIT_KEYS and path.parent / name in files:
                    found.append((path.parent / name, SPLIT_KEYS[key]))
    if found:
        return found
    names = {f"{key}.txt": split for key, split in SPLIT_KEYS.items()}
    return [(p, names[p.name]) for p in source.files if p.parent == source.root and p.name in names]
