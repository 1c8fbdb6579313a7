"""Which column of a table holds what: as the user says, or by the names that tools give them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.files import IMAGE_SUFFIXES

CORNERS = ("x1", "y1", "x2", "y2")
CORNER_AND_SIZE = ("x", "y", "w", "h")
CENTRE_AND_SIZE = ("cx", "cy", "w", "h")
CELL = ("bbox",)  # x, y, w and h in one cell
_BOXES = (CORNERS, CENTRE_AND_SIZE, CORNER_AND_SIZE, CELL)
# The names of columns without anything but letters and digits, the likeliest first.
_NAMES: Mapping[str, str] = {
    "image": "filename file image imagename imagefilename imagefile imagepath filepath path img"
    " imgname imgpath imageid",
    "label": "class label classname labelname category categoryname objectclass species",
    "x1": "xmin x1 left bboxx1 bboxxmin xtl",
    "y1": "ymin y1 top bboxy1 bboxymin ytl",
    "x2": "xmax x2 right bboxx2 bboxxmax xbr",
    "y2": "ymax y2 bottom bboxy2 bboxymax ybr",
    "cx": "cx xcenter centerx xcentre centrex xc",
    "cy": "cy ycenter centery ycentre centrey yc",
    "x": "x bboxx",
    "y": "y bboxy",
    "w": "w bboxwidth boxwidth bboxw",
    "h": "h bboxheight boxheight bboxh",
    "bbox": "bbox boundingbox",
    "width": "imagewidth imgwidth width",
    "height": "imageheight imgheight height",
    "split": "split subset set partition",
    "score": "score confidence conf probability",
    "iscrowd": "iscrowd isgroupof",
}
FIELDS = (*_NAMES, "normalized")
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
_PATHS = 6  # columns of keras-retinanet: path, x1, y1, x2, y2, class
_LISTED = 30  # columns in a message


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table, by their place from 0.

    places: by field, such as "image" or "x1". box: the fields of the box.
    others: names of the columns that hold none of these.
    header: whether the first row is one. normalized: None when the numbers must tell.
    """

    places: Mapping[str, int]
    box: tuple[str, ...]
    others: Mapping[int, str] = field(default_factory=dict)
    header: bool = True
    normalized: bool | None = None

    @property
    def count(self) -> int:
        """How many columns a row must have."""
        return max(self.places.values()) + 1


def recognise(cells: Sequence[str]) -> Columns | None:
    """Columns of a table by its first row; None when image, class and box are not all there."""
    if _is_path_and_box(cells):
        places = {"image": 0, "x1": 1, "y1": 2, "x2": 3, "y2": 4, "label": 5}
        return Columns(places, CORNERS, header=False)
    if {"ImageID", "LabelName"} <= set(cells):
        return None  # Open Images
    bare = {
        re.sub(r"[^a-z0-9]", "", cell.casefold()): k for k, cell in reversed([*enumerate(cells)])
    }
    places = {}
    for name, spellings in _NAMES.items():
        found = next((bare[word] for word in spellings.split() if word in bare), None)
        if found is not None:
            places[name] = found
    box = _box_of(places)
    if box is None or not {"image", "label"} <= places.keys():
        return None
    return _columns(places, box, cells)


def _is_path_and_box(cells: Sequence[str]) -> bool:
    if len(cells) != _PATHS or Path(cells[0]).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    empty = not any(cells[1:])
    return empty or (bool(cells[5]) and all(map(is_number, cells[1:5])))


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _box_of(places: dict[str, int]) -> tuple[str, ...] | None:
    """The fields of the box; "width" and "height" are its own when nothing else is."""
    if set(CORNERS) <= places.keys():
        return CORNERS
    start = {"x", "y"} <= places.keys() or {"cx", "cy"} <= places.keys()
    if start and not {"w", "h"} & places.keys() and {"width", "height"} <= places.keys():
        places |= {"w": places.pop("width"), "h": places.pop("height")}
    return next((box for box in _BOXES if set(box) <= places.keys()), None)


def _columns(
    places: Mapping[str, int],
    box: tuple[str, ...],
    cells: Sequence[str],
    normalized: bool | None = None,
) -> Columns:
    """Keep the places that are used; the other columns are attributes."""
    unused = {name for fields in _BOXES for name in fields} - set(box)
    used = {name: place for name, place in places.items() if name not in unused}
    others = {k: name for k, name in enumerate(cells) if k not in used.values() and name}
    return Columns(used, box, others, normalized=normalized)


def named(given: Mapping[str, str], cells: Sequence[str], path: Path) -> Columns:
    """The columns that the user names; in a table without a header they have numbers, from 1.

    cells: the first row of the table at `path`. Raises UsageError, saying what the table has.
    """
    words = dict(given)
    normalized = _yes_or_no(words.pop("normalized", None))
    for name in words:
        if name not in FIELDS:
            hint = did_you_mean(name, FIELDS, most=len(FIELDS))
            raise UsageError(f"--columns: there is no field {name!r}", hint=hint)
    box = _asked_box(words)
    if "image" not in words:
        hint = f"Name one of the columns of {path.name}: {_listed(cells)}"
        raise UsageError("--columns: image is missing", hint=hint)
    if all(word.isdecimal() and word not in cells for word in words.values()):
        return _numbered(words, box, cells, path, normalized)
    places = {name: _place(word, cells, path) for name, word in words.items()}
    return _columns(places, box, cells, normalized)


def _yes_or_no(word: str | None) -> bool | None:
    if word is None:
        return None
    if word.casefold() in _TRUE | _FALSE:
        return word.casefold() in _TRUE
    raise UsageError(f"--columns: normalized is true or false, not {word!r}")


def _asked_box(words: Mapping[str, str]) -> tuple[str, ...]:
    box = next((fields for fields in _BOXES if set(fields) <= words.keys()), None)
    if box is None:
        hint = f"Name {', or '.join(','.join(fields) for fields in _BOXES)}."
        raise UsageError("--columns: the four numbers of a box are not all there", hint=hint)
    return box


def _numbered(
    words: Mapping[str, str],
    box: tuple[str, ...],
    cells: Sequence[str],
    path: Path,
    normalized: bool | None,
) -> Columns:
    places = {name: int(word) - 1 for name, word in words.items()}
    for name, place in places.items():
        if not 0 <= place < len(cells):
            wrong = f"--columns: {name}={place + 1}, but {path.name} has {len(cells)} columns"
            raise UsageError(wrong, hint=f"Its first row is {_listed(cells)}")
    return Columns(places, box, header=False, normalized=normalized)


def _place(word: str, cells: Sequence[str], path: Path) -> int:
    folded = [cell.casefold() for cell in cells]
    if word in cells:
        return list(cells).index(word)
    if folded.count(word.casefold()) == 1:
        return folded.index(word.casefold())
    wrong = f"{path.name} has no column {word!r}; it has {_listed(cells)}"
    raise UsageError(wrong, hint=did_you_mean(word, cells))


def _listed(cells: Sequence[str]) -> str:
    return ", ".join(cells[:_LISTED]) + (", …" if len(cells) > _LISTED else "")
