"""The masks of Open Images: one PNG per object, and a table that says to which box it belongs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detect_tl.core.dataset import CategoryIndex, Instance
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Box, RleMask, Size, bitmap_to_rle
from detect_tl.core.image_header import read_header
from detect_tl.formats.csv_table.boxes import BoxesOfImage
from detect_tl.formats.csv_table.text import read_table
from detect_tl.formats.gather import Gatherer
from detect_tl.formats.records import numbers

_BOX = ("BoxXMin", "BoxYMin", "BoxXMax", "BoxYMax")
MASK_COLUMNS = ("MaskPath", "ImageID", "LabelName", *_BOX)
# Boxes of the two tables are rounded differently.
_SAME_BOX = 1e-3
# A mask may be smaller than its image, but has its proportions.
_SAME_SHAPE = 0.1


@dataclass(frozen=True, slots=True)
class _Row:
    """box: fractions of the image, as in the table of boxes. line: in the table at `table`."""

    picture: str
    label: str
    box: tuple[float, ...]
    table: Path
    line: int


class Masks:
    """The masks of all tables, given out image by image."""

    def __init__(self, gather: Gatherer, tables: Sequence[Path]) -> None:
        self._gather = gather
        self._by_image: dict[str, list[_Row]] = defaultdict(list)
        self._missing: dict[Path, list[str]] = defaultdict(list)
        pngs = [p for p in gather.source.images.images if p.suffix.lower() == ".png"]
        self._pngs = {p.name: p for p in pngs} if tables else {}
        self.pictures: set[Path] = set()
        for table in tables:
            self._read(table)

    def _read(self, table: Path) -> None:
        header, rows = read_table(table, MASK_COLUMNS)
        places = [header[name] for name in MASK_COLUMNS]
        for line, cells in rows:
            try:
                path, image, label, *box = (cells[place] for place in places)
                if not label:
                    raise ValueError("it has no LabelName")
                row = _Row(path.rpartition("/")[2], label, tuple(numbers(box)), table, line)
            except (ValueError, IndexError) as error:
                self._lose(table, line, f"the row is lost: {error}", "objects-unreadable")
                continue
            self._by_image[image].append(row)
            if row.picture in self._pngs:
                self.pictures.add(self._pngs[row.picture])

    def _lose(self, table: Path, line: int, text: str, what: str) -> None:
        self._gather.report.lost[what] += 1
        self._gather.report.add("openimages.bad-mask", "error", text, table, line)

    def attach(self, found: BoxesOfImage, size: Size, index: CategoryIndex) -> list[Instance]:
        """Give the boxes of an image, in pixels, their masks; return objects that have no box."""
        alone: list[Instance] = []
        masks = self._by_image.pop(found.name, ())
        if not masks:
            return alone
        fractions = found.box / (size.width, size.height, size.width, size.height)
        categories = [item.category for item in found.rows]
        for row in masks:
            category = index.add(row.label)
            mask = self._mask(row, size)
            same = np.abs(fractions - row.box).max(axis=1, initial=0) < _SAME_BOX
            places = [k for k in np.flatnonzero(same).tolist() if categories[k] == category]
            free = [k for k in places if found.first + k not in found.masks]
            if free and mask is not None:
                found.masks[found.first + free[0]] = mask
            elif not places:
                x1, y1, x2, y2 = row.box
                w, h = size
                alone.append(Instance(category, Box(x1 * w, y1 * h, x2 * w, y2 * h), mask))
        return alone

    def _mask(self, row: _Row, size: Size) -> RleMask | None:
        path = self._pngs.get(row.picture)
        if path is None:
            self._missing[row.table].append(row.picture)
            return None
        try:
            return _draw(path, size)
        except (DataError, ValueError) as error:
            self._lose(row.table, row.line, f"mask {row.picture!r} is lost: {error}", "masks")
            return None

    def left(self) -> dict[Path, list[str]]:
        """Images that have not been asked for, by the table that has masks of them."""
        found: dict[Path, list[str]] = defaultdict(list)
        for image, rows in self._by_image.items():
            found[rows[0].table].append(image)
        return found

    def drop(self, images: Sequence[str]) -> int:
        """Give up the masks of these images; return how many they are."""
        return sum(len(self._by_image.pop(image, ())) for image in images)

    def say_missing(self) -> None:
        """One finding per table for the pictures that are not in the folder."""
        for table, names in self._missing.items():
            self._gather.report.lost["masks"] += len(names)
            text = f"{len(names)} masks are not in the folder, such as {names[0]!r}; boxes are kept"
            self._gather.report.add("openimages.no-mask", "warning", text, table)


def _draw(path: Path, size: Size) -> RleMask:
    """A mask at the size of its image; raise DataError or ValueError when it cannot be used."""
    import cv2

    w, h = read_header(path).size
    if w * h == 0 or abs(w * size.height / (h * size.width) - 1) > _SAME_SHAPE:
        raise ValueError(f"it is {w}x{h}, its image {size.width}x{size.height}")
    drawn = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if drawn is None:
        raise ValueError("it is no picture that can be read")
    if (w, h) != size:
        drawn = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST))
    return bitmap_to_rle(drawn.astype(np.uint8))
