"""MOTChallenge: one gt/gt.txt per sequence, a row per object and frame, and images in img1.

frame, id, left, top, width, height, considered, class, visibility. By its rules all of them count
from 1, pixels too, so boxes are moved by one pixel. CVAT and Datumaro write the same file with
pixels from 0, beside a labels.txt of their own class names; those boxes stay where they are.
A row that is not to be considered (0) is an object that evaluation ignores: it becomes a crowd.
"""

from __future__ import annotations

import configparser
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.dataset import CategoryIndex, Dataset, Instance, Json, Sample
from detect_tl.core.errors import DataError
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Size
from detect_tl.core.words import counted
from detect_tl.formats.base import Format, Sniff
from detect_tl.formats.gather import Gatherer, UndeclaredClassError, extent_of, placed
from detect_tl.formats.records import leave_out_unlisted, number, numbers, or_none, size_of
from detect_tl.formats.source import Source

# The classes of MOT16, MOT17 and MOT20, whose numbers count from 1.
OFFICIAL = (
    "pedestrian",
    "person on vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non motorized vehicle",
    "static person",
    "distractor",
    "occluder",
    "occluder on the ground",
    "occluder full",
    "reflection",
    "crowd",
)
_ROW = re.compile(rb"(\xef\xbb\xbf)?\s*\d+(\s*,\s*[-+]?\d[\d.eE+-]*){5,9}\s*,?[ \t]*(\r|\n|$)")
_TRUTH, _DETECTIONS, _LABELS = "gt.txt", "det.txt", "labels.txt"
_WITHOUT_CLASS = -1
# MOT15 ends its rows with a place in the world, where the others have a class and a visibility.
_WITH_PLACE = 10


def sniff(source: Source) -> Sniff:
    texts = source.candidates(".txt")
    if not texts:
        return Sniff("no .txt file")
    claimed = tuple(p for p in texts if p.name == _TRUTH and _ROW.match(source.peek(p)))
    if claimed:
        return Sniff(f"{len(claimed)} {_TRUTH} with rows of frames and tracks", claimed)
    if any(p.name == _DETECTIONS for p in texts):
        return Sniff(f"only {_DETECTIONS}, which is the output of a detector and not the truth")
    return Sniff(
        f"{counted(len(texts), '.txt file')}, none a {_TRUTH} with rows of frames and tracks"
    )


def read(source: Source, report: Report) -> Dataset:
    """Read all sequences that `sniff` claims. Sequences without truth are left out, and counted."""
    index = CategoryIndex()
    gather = Gatherer(source, report)
    order: dict[str, None] = {}
    for path in sniff(source).files:
        report.read["annotation-files"] += 1
        labels = _labels(path)
        _Sequence(path, gather, index, tuple(labels or OFFICIAL), official=not labels).read()
        order |= dict.fromkeys(labels)
    leave_out_unlisted(gather)
    met = {category.name for category in index.categories()}
    order |= dict.fromkeys(name for name in OFFICIAL if name in met)
    return gather.dataset(index, list(order))


def _folder(path: Path) -> Path:
    """The folder of the sequence."""
    return path.parent.parent if path.parent.name.casefold() == "gt" else path.parent


def _labels(path: Path) -> list[str]:
    """The classes in labels.txt, in the order of their numbers; none where there is no such file.

    Raises DataError for a class that stands there twice: rows could mean either.
    """
    labels = path.with_name(_LABELS)
    if not labels.is_file():  # a pipe of that name would be waited for
        return []
    try:
        names = [line.strip() for line in labels.read_text("utf-8-sig", "replace").splitlines()]
    except OSError:
        return []
    while names and not names[-1]:
        names.pop()
    if len(set(names)) < len(names):
        raise DataError("a class stands there twice", path=labels)
    return names


@dataclass(slots=True)
class _Sequence:
    """One sequence. labels: its classes; official: whether they are those of MOTChallenge."""

    path: Path
    gather: Gatherer
    index: CategoryIndex
    labels: Sequence[str]
    official: bool
    frames: dict[int, list[Instance]] = field(default_factory=lambda: defaultdict(list))

    def read(self) -> None:
        for frame, item in self._rows():
            self.frames[frame].append(item)
        folder, size = self._seqinfo()
        images = _numbered(self.gather.source.images.images, folder)
        self._count()
        if self.frames and not any(frame in images for frame in self.frames):
            self._lose(folder)
            return
        for frame in sorted(images.keys() | self.frames.keys()):
            paths, items = images.get(frame, []), self.frames.get(frame, [])
            if len(paths) == 1:
                self._add(paths[0], size, items)
            else:
                self.gather.lose_image(f"{frame:06d}.jpg", self.path, len(items), paths)

    def _rows(self) -> Iterator[tuple[int, Instance]]:
        """Objects with their frame; a finding for each row that cannot be read."""
        report = self.gather.report
        try:
            lines = self.path.read_text("utf-8-sig", errors="replace").splitlines()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=self.path) from error
        for place, line in enumerate(lines, start=1):
            cells = [cell.strip() for cell in line.rstrip(", \t").split(",")]
            if cells == [""]:
                continue
            try:
                yield self._row(cells)
            except ValueError as error:
                report.lost["objects-unreadable"] += 1
                code = getattr(error, "code", "mot.bad-row")
                report.add(code, "error", f"the row is lost: {error}", self.path, place)

    def _row(self, cells: Sequence[str]) -> tuple[int, Instance]:
        if not 6 <= len(cells) <= _WITH_PLACE:
            raise ValueError(f"it has {len(cells)} columns, not 6 to {_WITH_PLACE}")
        frame, track = _whole(cells[0], "frame"), _whole(cells[1], "track")
        if frame < 1:
            raise ValueError(f"its frame is {frame}; frames count from 1")
        left, top, width, height = numbers(cells[2:6])
        shift = 1 if self.official else 0
        box = Box.from_xywh(left - shift, top - shift, width, height)
        considered = number(cells[6]) if len(cells) > 6 else 1
        attributes: dict[str, Json] = {"track_id": track} if track > 0 else {}
        placed_in_world = self.official and len(cells) == _WITH_PLACE
        if len(cells) > 8 and not placed_in_world and 0 <= number(cells[8]) < 1:
            attributes["visibility"] = number(cells[8])
        told = len(cells) > 7 and not placed_in_world
        name = self._class(_whole(cells[7], "class") if told else _WITHOUT_CLASS)
        category = self.index.add(name)
        return frame, Instance(category, box, None, considered == 0, or_none(attributes))

    def _class(self, place: int) -> str:
        if place == _WITHOUT_CLASS and (self.official or len(self.labels) == 1):
            return self.labels[0]
        if not 1 <= place <= len(self.labels) or not self.labels[place - 1]:
            raise UndeclaredClassError(f"class {place} is not one of 1 to {len(self.labels)}")
        return self.labels[place - 1]

    def _seqinfo(self) -> tuple[Path, Size | None]:
        """Where the images lie, and how large they were when they were annotated."""
        folder = _folder(self.path)
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        path = folder / "seqinfo.ini"
        try:
            parser.read_string(
                path.read_text("utf-8-sig", errors="replace") if path.is_file() else ""
            )
        except OSError:
            return folder / "img1", None
        except configparser.Error as error:
            text = f"ignored: {str(error).splitlines()[0]}"
            self.gather.report.add("mot.bad-seqinfo", "warning", text, folder / "seqinfo.ini")
        values = parser["Sequence"] if parser.has_section("Sequence") else {}
        size = size_of(values.get("imWidth"), values.get("imHeight"))
        return folder / (values.get("imDir") or "img1"), size

    def _add(self, image: Path, size: Size | None, items: Sequence[Instance]) -> None:
        extent = extent_of(item.box for item in items)
        frame = self.gather.frame(image, size, extent, self.path, len(items))
        if frame is None:
            return
        split = self.gather.source.split_of(image)
        objects = tuple(placed(item, frame) for item in items)
        self.gather.add(Sample(image, frame.size, objects, split, self.path))

    def _count(self) -> None:
        """Say what the rules of the format made of the numbers."""
        report, items = self.gather.report, [i for found in self.frames.values() for i in found]
        if self.official and items:
            report.changed["boxes-moved-to-0-based"] += len(items)
            text = f"{len(items)} boxes moved by one pixel: MOTChallenge counts pixels from 1"
            report.add("mot.one-based", "info", text, self.path)
        ignored = sum(item.iscrowd for item in items)
        if ignored:
            report.changed["ignored-objects-to-crowds"] += ignored
            text = f"{ignored} objects that evaluation is to ignore are kept as crowds"
            report.add("mot.ignored", "info", text, self.path)

    def _lose(self, folder: Path) -> None:
        report, objects = self.gather.report, sum(map(len, self.frames.values()))
        report.lost["images"] += len(self.frames)
        report.lost["objects-without-image"] += objects
        text = (
            f"{self.gather.source.short(folder)} has no image for any of the {len(self.frames)}"
            f" frames, such as 000001.jpg; their {objects} objects are lost"
        )
        report.add("mot.no-frames", "error", text, self.path)


def _numbered(images: Iterable[Path], folder: Path) -> dict[int, list[Path]]:
    """The images in a folder whose name is the number of a frame."""
    wanted = os.path.normpath(folder)
    found: dict[int, list[Path]] = defaultdict(list)
    for path in images:
        stem = path.stem
        is_number = stem.isascii() and stem.isdigit() and len(stem) <= 12
        if is_number and os.path.normpath(path.parent) == wanted:
            found[int(stem)].append(path)
    return found


def _whole(text: str, what: str) -> int:
    value = number(text)
    if value != int(value):
        raise ValueError(f"its {what} is {text}, not a whole number")
    return int(value)


FORMAT = Format(
    name="mot",
    title="MOTChallenge",
    description="one gt/gt.txt per sequence with tracked boxes, and the frames in img1",
    sniff=sniff,
    read=read,
)
