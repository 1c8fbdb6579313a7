"""The class names that the numbers in a label file stand for."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.formats.source import Source
from detect_tl.formats.yolo.data_yaml import check_count, names_of, read_yaml, unique

_NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")


class ClassNames:
    """The class lists of a source. A label file follows the nearest one above it.

    Where there is a data.yaml, other lists are not followed: trainers read no others, and LabelImg
    leaves a classes.txt with classes of its own beside the labels.
    """

    def __init__(self, source: Source, yamls: list[Path], report: Report) -> None:
        """Raise DataError for a list that cannot be used, or several in one folder."""
        self._source = source
        self._lists = {p: _of_yaml(p, report) for p in yamls}
        others = {p: _lines(p) for p in source.files if _is_list(p)}
        if yamls:
            self._say_ignored(others, yamls[0], report)
        else:
            self._lists = others
        self._by_folder = self._one_per_folder()
        self._say_different(report)

    def of(self, label: Path) -> list[str]:
        """The names for a label file; empty when nothing declares any.

        Raises DataError when several lists differ and none lies above the file.
        """
        for folder in label.parents:
            if folder in self._by_folder:
                return self._by_folder[folder]
            if folder == self._source.root:
                break
        lists = list(self._by_folder.values())
        if len({tuple(names) for names in lists}) > 1:
            raise DataError(
                f"several class lists differ, and none lies above {self._source.short(label)}:"
                f" {self._listed()}",
                path=self._source.path,
                hint="Move each beside its labels, or remove all but one.",
            )
        return lists[0] if lists else []

    def all(self) -> list[str]:
        """Every name once: those of the topmost list first, in its order."""
        ordered = sorted(self._by_folder, key=lambda folder: (len(folder.parts), folder))
        return list(dict.fromkeys(name for f in ordered for name in self._by_folder[f]))

    def _one_per_folder(self) -> dict[Path, list[str]]:
        inside: dict[Path, list[Path]] = defaultdict(list)
        for path in self._lists:
            inside[path.parent].append(path)
        found: dict[Path, list[str]] = {}
        for folder, paths in inside.items():
            yamls = [p for p in paths if p.suffix.lower() in (".yaml", ".yml")]
            if not yamls and len({tuple(self._lists[p]) for p in paths}) > 1:
                names = ", ".join(p.name for p in paths)
                raise DataError(
                    f"several class lists in one folder differ: {names}",
                    path=folder,
                    hint="Remove all but the one that the labels were made with.",
                )
            found[folder] = self._lists[paths[0]]
        return found

    def _say_ignored(self, others: dict[Path, list[str]], yaml: Path, report: Report) -> None:
        for path, names in others.items():
            if names not in self._lists.values():
                text = f"lists other classes than {yaml.name}, which is followed"
                report.add("yolo.classes-differ", "warning", text, path)

    def _say_different(self, report: Report) -> None:
        different = {tuple(names) for names in self._by_folder.values()}
        if len(different) > 1:
            report.changed["class-lists-united-by-name"] += len(different)
            text = f"each label file follows the nearest of {self._listed()}; classes meet by name"
            report.add("yolo.classes-differ", "warning", text, self._source.path)

    def _listed(self) -> str:
        return ", ".join(self._source.short(path) for path in self._lists)


def _is_list(path: Path) -> bool:
    return path.name.casefold() in _NAME_FILES or path.suffix == ".names"


def _of_yaml(path: Path, report: Report) -> list[str]:
    document = read_yaml(path)
    names = names_of(document, path)
    check_count(document, path, names, report)
    return names


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    return unique([line.strip() for line in lines if line.strip()], path)
