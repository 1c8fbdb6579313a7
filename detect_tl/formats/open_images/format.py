"""Open Images (V4 to V7): tables of boxes and of masks, and one that names the classes.

An image is called by its id, a class by a code such as "/m/01g317", and coordinates are fractions
of the image. The release has millions of images, of which most users have a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from detect_tl.core.dataset import NO_ATTRIBUTES, Category, CategoryIndex, Dataset, Json, Sample
from detect_tl.core.findings import Report
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.csv_table.boxes import BoxesOfImage, BoxTable
from detect_tl.formats.csv_table.text import first_row, read_rows, read_table
from detect_tl.formats.gather import Gatherer, alphabetical
from detect_tl.formats.open_images.masks import MASK_COLUMNS, Masks
from detect_tl.formats.records import leave_out_unlisted, number, numbers, split_of_stem
from detect_tl.formats.source import Source

_BOX_COLUMNS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
_FLAGS = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}
_DESCRIPTIONS = "class-descriptions"
_FIFTY_ONE = "classes.csv"  # what FiftyOne calls it in the parts that it downloads


def sniff(source: Source) -> Sniff:
    files = source.candidates(".csv")
    if not files:
        return Sniff("no .csv file")
    boxes, masks = tables(source)
    if not boxes and not masks:
        return Sniff(f"{counted(len(files), '.csv file')}, none with ImageID, LabelName and XMin")
    found = f"{counted(len(boxes), '.csv file')} of boxes" + (
        f", {len(masks)} of masks" if masks else ""
    )
    return Sniff(found, (*boxes, *masks, *_descriptions(source)))


def tables(source: Source) -> tuple[list[Path], list[Path]]:
    """The tables of boxes and those of masks."""
    headers = {p: set(first_row(source.peek(p)).cells) for p in source.candidates(".csv")}
    boxes = [p for p, header in headers.items() if header.issuperset(_BOX_COLUMNS)]
    return boxes, [p for p, header in headers.items() if header.issuperset(MASK_COLUMNS)]


def _descriptions(source: Source) -> list[Path]:
    """Tables that name classes, the shorter list of classes that have boxes first."""
    tables = [p for p in source.files if p.suffix.lower() == ".csv"]
    found = [p for p in tables if _DESCRIPTIONS in p.stem or p.name == _FIFTY_ONE]
    return sorted(found, key=lambda p: "boxable" not in p.stem)


def read(source: Source, report: Report) -> Dataset:
    """Read all files that `sniff` claims.

    Raises DataError for a file that is no table.
    """
    boxes, masks = tables(source)
    gather = Gatherer(source, report)
    index = CategoryIndex()
    reading = _Reading(gather, index, Masks(gather, masks))
    for path in boxes:
        report.read["annotation-files"] += 1
        reading.add(path)
    reading.add_masks_alone()
    report.read["annotation-files"] += len(masks)
    leave_out_unlisted(gather, reading.masks.pictures)
    return _named(gather, index, _names(_descriptions(source)))


def _names(paths: Sequence[Path]) -> dict[str, str]:
    """The name of every class by its code, in the order of the tables."""
    names: dict[str, str] = {}
    for path in paths:
        for _, cells in read_rows(path):
            if len(cells) >= 2 and cells[0] != "LabelName" and cells[1]:
                names.setdefault(cells[0], cells[1])
    return names


def _named(gather: Gatherer, index: CategoryIndex, names: Mapping[str, str]) -> Dataset:
    """Put names in the place of codes; a name that several classes have keeps its code."""
    codes = [category.name for category in index.categories()]
    used = set(codes)
    nameless = alphabetical(code for code in codes if code not in names)
    if nameless:
        text = f"{len(nameless)} classes have no name, such as {nameless[0]}; called by their codes"
        gather.report.add("openimages.no-names", "warning", text, gather.source.path)
    order = [code for code in names if code in used] + nameless
    dataset = gather.dataset(index, order)
    shared = Counter(names.get(code, code) for code in order)
    called = [names.get(code, code) for code in order]
    return replace(
        dataset,
        categories=tuple(
            Category(name if shared[name] == 1 else f"{name} ({code})")
            for name, code in zip(called, order, strict=True)
        ),
    )


@dataclass(slots=True)
class _Reading:
    gather: Gatherer
    index: CategoryIndex
    masks: Masks
    absent: dict[Path, list[str]] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        """Read one table of boxes."""
        absent: list[str] = []
        objects = 0
        for found in self._boxes(path).by_image():
            if not self._add_image(found, path):
                absent.append(found.name)
                objects += len(found.rows)
        _say_absent(self.gather, path, absent, objects)

    def _boxes(self, path: Path) -> BoxTable:
        header, rows = read_table(path, _BOX_COLUMNS)
        image, label, x1, y1, x2, y2 = (header[name] for name in _BOX_COLUMNS)
        crowd = header.get("IsGroupOf")
        table = BoxTable()
        for line, cells in rows:
            try:
                box = numbers((cells[x1], cells[y1], cells[x2], cells[y2]))
                category = self.index.add(_code(cells[label]))
                more = _attributes(cells, header)
                iscrowd = crowd is not None and cells[crowd] == "1"
                table.add(cells[image], category, box, iscrowd=iscrowd, attributes=more)
            except (ValueError, IndexError) as error:
                short = isinstance(error, IndexError)
                text = f"it has {len(cells)} columns, not {len(header)}" if short else str(error)
                self.gather.report.lost["objects-unreadable"] += 1
                code = "openimages.bad-row"
                self.gather.report.add(code, "error", f"the row is lost: {text}", path, line)
        return table

    def _add_image(self, found: BoxesOfImage, path: Path) -> bool:
        """Keep an image with its boxes and masks; False when it is not in the folder."""
        gather = self.gather
        named = split_of_stem(path.stem)
        match = gather.source.images.find(
            [f"{found.name}.jpg"], near=[path.parent], hints=path.stem.split("-")
        )
        if match.path is None and not match.rivals:
            return False
        if match.path is None:
            gather.lose_image(found.name, path, len(found.rows), match.rivals)
            return True
        header = gather.header(match.path, len(found.rows))
        if header is None:
            return True
        w, h = header.size
        found.box[:] *= (w, h, w, h)
        more = self.masks.attach(found, header.size, self.index)
        split = named or gather.source.split_of(match.path)
        items = (*found.rows, *more) if more else found.rows
        gather.add(Sample(match.path, header.size, items, split, path))
        return True

    def add_masks_alone(self) -> None:
        """Keep the masks of images without a box."""
        for path, names in self.masks.left().items():
            table = BoxTable()
            for name in names:
                table.mention(name)
            absent = [f.name for f in table.by_image() if not self._add_image(f, path)]
            _say_absent(self.gather, path, absent, self.masks.drop(absent))
        self.masks.say_missing()


def _code(text: str) -> str:
    if not text:
        raise ValueError("it has no LabelName")
    return text


def _attributes(cells: Sequence[str], header: Mapping[str, int]) -> Mapping[str, Json]:
    """What is said of a box and is not the usual: -1 is unknown, 0 is no."""
    found: dict[str, Json] = {
        key: True for flag, key in _FLAGS.items() if flag in header and cells[header[flag]] == "1"
    }
    place = header.get("Confidence")
    confidence = number(cells[place]) if place is not None and cells[place] else 1.0
    if confidence != 1:
        found["score"] = confidence
    return found or NO_ATTRIBUTES


def _say_absent(gather: Gatherer, path: Path, absent: Sequence[str], objects: int) -> None:
    """One finding for all: a part of the release comes with the tables of the whole."""
    if not absent:
        return
    gather.report.lost["images"] += len(absent)
    gather.report.lost["objects-without-image"] += objects
    text = (
        f"{len(absent)} images of the table are not in the folder, such as {absent[0]!r};"
        f" their {objects} objects are lost"
    )
    gather.report.add("image.missing", "error", text, path)


FORMAT = Format(
    name="openimages",
    title="Open Images",
    description="CSV tables of boxes and masks with codes of classes, and their names",
    sniff=sniff,
    read=read,
)
