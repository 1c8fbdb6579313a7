"""Tables with a box per row: TensorFlow's, VoTT's, keras-retinanet's, and any that one can name.

A row is a box on an image, or an image without objects when its class and its numbers are empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.dataset import NO_ATTRIBUTES, SPLITS, CategoryIndex, Dataset, Json, Sample
from detect_tl.core.errors import UsageError
from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Size
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.csv_table.boxes import BoxesOfImage, BoxTable
from detect_tl.formats.csv_table.columns import (
    CELL,
    CENTRE_AND_SIZE,
    CORNERS,
    Columns,
    is_number,
    named,
    recognise,
)
from detect_tl.formats.csv_table.text import FirstRow, first_row, read_rows
from detect_tl.formats.gather import Gatherer, alphabetical, extent_of
from detect_tl.formats.records import leave_out_unlisted, number, size_of, split_of_stem
from detect_tl.formats.source import Source, split_name

_SUFFIXES = (".csv", ".tsv", ".txt")
_TRUE = frozenset({"1", "true", "yes"})
_NAMELESS = "object"
# Fractions may reach over the border a little; boxes of one pixel are no boxes.
_LEAST, _MOST = -0.5, 1.5


def sniff(source: Source) -> Sniff:
    given = source.options.columns
    # any text can be a table when the user says what its columns are
    files = source.candidates(*(_SUFFIXES if given and source.path.is_file() else _SUFFIXES[:2]))
    if not files:
        return Sniff("no .csv file")
    firsts = {p: first_row(source.peek(p)) for p in files}
    if given is not None:
        return _sniff_named(given, firsts)
    claimed = tuple(p for p, first in firsts.items() if recognise(first.cells) is not None)
    if not claimed:
        return Sniff(
            f"{counted(len(files), '.csv file')}, none with known columns of an image, a class and"
            " a box; name them with --columns"
        )
    return Sniff(f"{counted(len(claimed), '.csv file')} with columns of a box", claimed)


def _sniff_named(given: Mapping[str, str], firsts: Mapping[Path, FirstRow]) -> Sniff:
    """Claim the tables that have the columns, or the one that comes nearest, to say what lacks."""
    claimed = []
    for path, first in firsts.items():
        try:
            named(given, first.cells, path)
            claimed.append(path)
        except UsageError:
            continue
    if claimed:
        return Sniff(f"{len(claimed)} of {len(firsts)} tables have these columns", tuple(claimed))
    nearest = max(firsts, key=lambda p: len(set(given.values()) & set(firsts[p].cells)))
    return Sniff("the columns are named", (nearest,))


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError for a file that is no table, and UsageError, naming the columns that it has,
    when `source.options.columns` asks for others.
    """
    index = CategoryIndex()
    gather = Gatherer(source, report)
    for path in sniff(source).files:
        first = first_row(source.peek(path))
        given = source.options.columns
        columns = recognise(first.cells) if given is None else named(given, first.cells, path)
        report.read["annotation-files"] += 1
        if columns is not None:
            _File(path, columns, _parser(first.delimiter), gather, index).read()
    leave_out_unlisted(gather)
    return gather.dataset(index, _declared(source, [c.name for c in index.categories()]))


def _declared(source: Source, met: Sequence[str]) -> list[str]:
    """The order of a table of names and numbers, as keras-retinanet has it; else alphabetical."""
    for path in source.files:
        if path.suffix.lower() != ".csv" or "class" not in path.stem.casefold():
            continue
        rows = [cells for _, cells in read_rows(path)]
        if rows and all(len(r) == 2 and r[1].isdecimal() for r in rows):
            order = [name for name, _ in sorted(rows, key=lambda row: int(row[1]))]
            if set(met) <= set(order):
                return list(dict.fromkeys(name for name in order if name in met))
    return alphabetical(met)


def _parser(delimiter: str) -> Callable[[str], float]:
    """How numbers are written: where commas are free, they may be decimal ones."""
    return number if delimiter == "," else lambda text: number(text.replace(",", "."))


@dataclass(slots=True)
class _File:
    path: Path
    columns: Columns
    parse: Callable[[str], float]
    gather: Gatherer
    index: CategoryIndex
    sizes: dict[str, Size] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    no_splits: Counter[str] = field(default_factory=Counter)

    def read(self) -> None:
        """Add every image of the table with its boxes."""
        table = BoxTable()
        rows = read_rows(self.path)
        if self.columns.header:
            next(rows, None)
        for line, cells in rows:
            try:
                self._row(cells, table, line)
            except ValueError as error:
                self.gather.report.lost["objects-unreadable"] += 1
                text = f"the row is lost: {error}"
                self.gather.report.add("csv.bad-row", "error", text, self.path, line)
        if "label" not in self.columns.places:
            text = f"no column holds a class; all are called {_NAMELESS!r}"
            self.gather.report.add("csv.no-label", "info", text, self.path)
        self._say_no_splits()
        normalized = self._is_normalized(table)
        for found in table.by_image():
            self._add(found, normalized=normalized)

    def _row(self, cells: Sequence[str], table: BoxTable, line: int) -> None:
        places = self.columns.places
        if len(cells) < self.columns.count:
            raise ValueError(f"it has {len(cells)} columns, not {self.columns.count} or more")
        image = cells[places["image"]]
        if not image:
            raise ValueError("it names no image")
        label = cells[places["label"]] if "label" in places else _NAMELESS
        values = [cells[places[name]] for name in self.columns.box]
        if self.columns.box == CELL:
            values = values[0].strip("[]() ").replace(",", " ").split()
        empty = not any(values)
        if not label and not empty:
            raise ValueError("it has a box but no class")
        if empty and label and "label" in places:
            raise ValueError(f"it has the class {label!r} but no box")
        box = None if empty else self._box([self.parse(value) for value in values])
        self._of_image(image, cells, line)
        if box is None:
            table.mention(image)
            return
        crowd = "iscrowd" in places and cells[places["iscrowd"]].casefold() in _TRUE
        attributes = self._attributes(cells)
        category = self.index.add(label)
        table.add(image, category, box, iscrowd=crowd, attributes=attributes)

    def _box(self, values: Sequence[float]) -> Box:
        if len(values) != 4:
            raise ValueError(f"its box has {len(values)} numbers, not 4")
        if self.columns.box == CORNERS:
            return Box(*values)
        centred = self.columns.box == CENTRE_AND_SIZE
        return Box.from_cxcywh(*values) if centred else Box.from_xywh(*values)

    def _of_image(self, image: str, cells: Sequence[str], line: int) -> None:
        """What a row says of its image: the size it was annotated at, and the split."""
        places = self.columns.places
        if "width" in places and "height" in places:
            size = size_of(cells[places["width"]], cells[places["height"]])
            if size is not None:
                self.sizes.setdefault(image, size)
        word = cells[places["split"]] if "split" in places else ""
        split = split_name(word)
        self.no_splits[word] += not split
        if split and self.splits.setdefault(image, split) != split:
            text = f"{image} is in both {self.splits[image]} and {split}; the first one is kept"
            self.gather.report.add("split.overlap", "warning", text, self.path, line)

    def _say_no_splits(self) -> None:
        for word, count in self.no_splits.items():
            if word and count:
                text = (
                    f"{count} rows are in {word!r}, which is none of {', '.join(SPLITS)}; ignored"
                )
                self.gather.report.add("csv.no-split", "warning", text, self.path)

    def _attributes(self, cells: Sequence[str]) -> Mapping[str, Json]:
        found: dict[str, Json] = {}
        if "score" in self.columns.places and cells[self.columns.places["score"]]:
            found["score"] = self.parse(cells[self.columns.places["score"]])
        for place, name in self.columns.others.items():
            if place < len(cells) and cells[place]:
                found[name] = _value(cells[place])
        return found or NO_ATTRIBUTES

    def _is_normalized(self, table: BoxTable) -> bool:
        if self.columns.normalized is not None:
            return self.columns.normalized
        least, most = table.extent()
        found = least >= _LEAST and 0 < most <= _MOST
        if found:
            text = "all coordinates lie between 0 and 1: taken for fractions of the image"
            self.gather.report.add("csv.fractions", "info", text, self.path)
        return found

    def _add(self, found: BoxesOfImage, *, normalized: bool) -> None:
        gather = self.gather
        count = len(found.rows)
        near = [self.path.parent, self.path.parent / "images", self.path.parent.parent / "images"]
        image = gather.find(_spellings(found.name), self.path, count, near=near)
        if image is None:
            return
        declared = None if normalized else self.sizes.get(found.name)
        extent = extent_of(Box(*row) for row in found.box.tolist())
        frame = gather.frame(image, declared, extent, self.path, count)
        if frame is None:
            return
        if normalized:
            gather.report.changed["objects-given-as-fractions"] += count
            found.box[:] *= (*frame.size, *frame.size)
        elif frame.moves:
            found.box[:] = [frame.box(Box(*row)) for row in found.box.tolist()]
        split = self.splits.get(found.name) or split_of_stem(self.path.stem)
        split = split or gather.source.split_of(image)
        gather.add(Sample(image, frame.size, found.rows, split, self.path))


def _value(text: str) -> Json:
    if text.isascii() and text.isdecimal():
        return int(text)
    return float(text) if is_number(text) else text


def _spellings(name: str) -> list[str]:
    """The name of an image; one without an extension may have any."""
    if Path(name).suffix.lower() in IMAGE_SUFFIXES:
        return [name]
    return [name, *(name + suffix for suffix in sorted(IMAGE_SUFFIXES))]


FORMAT = Format(
    name="csv",
    title="CSV",
    description="tables with a box per row: TensorFlow, VoTT, RetinaNet, any other by --columns",
    sniff=sniff,
    read=read,
    options=frozenset({"columns"}),
)
