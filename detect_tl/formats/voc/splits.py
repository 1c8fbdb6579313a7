"""The official splits of a Pascal VOC folder: `ImageSets/Main/{train,val,test,trainval}.txt`.

A folder of masks only has them in `ImageSets/Segmentation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.dataset import SPLITS
from detect_tl.core.findings import Report
from detect_tl.formats.lists import lines_of
from detect_tl.formats.source import Source


@dataclass(frozen=True, slots=True)
class Splits:
    """Which split an image name belongs to, per folder that has an `ImageSets`.

    `trainval` without `train` and `val` gives no split: the images are known, and still to be
    divided into the two.
    """

    lists: dict[Path, dict[str, str | None]]
    _known: dict[Path, tuple[Mapping[str, str | None], str]] = field(default_factory=dict)

    def of(self, path: Path) -> str | None:
        """The split of an image or of the file that describes it; None when no list names it."""
        folder = path.parent
        if folder not in self._known:
            self._known[folder] = self._list_of(folder)
        names, inside = self._known[folder]
        return names.get(f"{inside}{path.stem}") or names.get(path.stem)

    def _list_of(self, folder: Path) -> tuple[Mapping[str, str | None], str]:
        """The list that covers a folder, and what it puts before the stems of files there.

        Lists name images relative to Annotations/ or JPEGImages/, without the suffix.
        """
        for base, names in self.lists.items():
            if folder.is_relative_to(base):
                return names, "".join(f"{part}/" for part in folder.relative_to(base).parts[1:])
        return {}, ""

    def covers(self, path: Path) -> bool:
        """Whether `path` lies in a folder whose splits are known."""
        return any(base in path.parents for base in self.lists)


def read_splits(source: Source, report: Report) -> Splits:
    """Read all lists below the source; report a name that stands in two of them."""
    lists: dict[Path, dict[str, str | None]] = {}
    for folder in _list_folders(source):
        names: dict[str, str | None] = {}
        for split in SPLITS:
            _add_list(folder / f"{split}.txt", split, names, report)
        for _, line in _lines(folder / "trainval.txt"):
            names.setdefault(line, None)
        if names:
            lists[folder.parent.parent] = names
    return Splits(lists)


def _list_folders(source: Source) -> list[Path]:
    """`Main` of every `ImageSets`, or `Segmentation` where there are only masks."""
    found = {p.parent for p in source.files if p.parent.parent.name == "ImageSets"}
    bases = sorted({folder.parent for folder in found})
    both = ([base / "Main", base / "Segmentation"] for base in bases)
    return [next(f for f in pair if f in found) for pair in both if found & set(pair)]


def _add_list(path: Path, split: str, names: dict[str, str | None], report: Report) -> None:
    for number, line in _lines(path):
        other = names.setdefault(line, split)
        if other != split:
            text = f"{line} is in both {other} and {split}; kept in {other}"
            report.add("split.overlap", "warning", text, path, number)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a list with their numbers; none where there is no such list."""
    return lines_of(path) if path.is_file() else iter(())
