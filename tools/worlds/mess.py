"""The usual disorder of hand-made LabelMe folders, put into clean documents on purpose.

Every kind has one right answer, which its Mess states; `make_messy` returns them all.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tools.worlds.labelme import Document, Shape

Outcome = tuple[str, str]
"""The kind of a fault, and its right answer."""

_EXIF_ORIENTATION = 0x0112
_TURN_RIGHT = 6


@dataclass
class Record:
    """A picture (BGR) of the set, its encoded file, and its document if it has one."""

    name: str
    jpeg: bytes
    width: int
    height: int
    document: Document | None


@dataclass(frozen=True)
class Mess:
    """One fault: in which file, of what kind, and what a converter should make of it."""

    file: str
    kind: str
    right_answer: str


def encode(picture: np.ndarray[Any, np.dtype[np.uint8]], quality: int, *, sideways: bool) -> bytes:
    """JPEG bytes; `sideways` stores the picture turned left, with an EXIF note to turn it back."""
    stored = np.rot90(picture) if sideways else picture
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    jpeg: bytes = cv2.imencode(".jpg", np.ascontiguousarray(stored), options)[1].tobytes()
    if not sideways:
        return jpeg
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _TURN_RIGHT
    blob = exif.tobytes()
    segment = b"\xff\xe1" + (len(blob) + 2).to_bytes(2, "big") + blob
    return jpeg[:2] + segment + jpeg[2:]


def make_messy(records: list[Record]) -> list[Mess]:
    """Change documents of `records` in place; what was done, in order.

    The faults are spread over the set, one to a file. Raises ValueError when the set is too
    small to hold one of them.
    """
    free = [r for r in records if _plain(r)]
    done: list[Mess] = []
    for step, change in enumerate(_CHANGES):
        start = step * len(records) // len(_CHANGES)
        order = sorted(free, key=lambda r: (records.index(r) < start, records.index(r)))
        for record in order:
            outcome = change(record)
            if outcome is not None:
                done.append(Mess(f"{record.name}.json", *outcome))
                free.remove(record)
                break
        else:
            raise ValueError(f"no picture is left for {change.__name__}; make a larger set")
    return done


def _plain(record: Record) -> bool:
    """Whether a fault can be put in without touching another one's right answer."""
    if record.document is None or record.width == record.height or b"Exif" in record.jpeg[:40]:
        return False
    shapes = _shapes(record)
    polygons = [s for s in shapes if s["shape_type"] == "polygon"]
    return len(polygons) >= 2 and all(s["group_id"] is None for s in shapes)


def _shapes(record: Record) -> list[Shape]:
    assert record.document is not None
    shapes: list[Shape] = record.document["shapes"]
    return shapes


def _polygon(record: Record) -> Shape:
    return next(s for s in _shapes(record) if s["shape_type"] == "polygon")


def _stray(record: Record, points: list[list[float]]) -> None:
    shape = {**_polygon(record), "points": points, "group_id": None, "flags": {}}
    _shapes(record).append(shape)


def _set(record: Record, **values: object) -> None:
    assert record.document is not None
    record.document.update(values)


def _capital_label(record: Record) -> Outcome:
    shape = _shapes(record)[0]
    shape["label"] = shape["label"].capitalize()
    return f"label {shape['label']!r}", f"the category {shape['label'].lower()!r}"


def _padded_label(record: Record) -> Outcome:
    shape = _shapes(record)[1]
    shape["label"] = f"{shape['label']} "
    return f"label {shape['label']!r}", f"the category {shape['label'].strip()!r}"


def _embedded_image(record: Record) -> Outcome:
    _set(record, imageData=base64.b64encode(record.jpeg).decode("ascii"))
    return "imageData holds the picture itself", "the same picture as the file beside it"


def _swapped_size(record: Record) -> Outcome:
    _set(record, imageWidth=record.height, imageHeight=record.width)
    return "imageWidth and imageHeight are swapped", "the size of the picture file"


def _no_size(record: Record) -> Outcome:
    _set(record, imageWidth=None, imageHeight=None)
    return "imageWidth and imageHeight are null", "the size of the picture file"


def _two_points(record: Record) -> Outcome:
    x, y = _polygon(record)["points"][0]
    _stray(record, [[x, y], [x + 9.5, y + 4.25]])
    return "a polygon of 2 points, a stray click", "reported and left out"


def _no_area(record: Record) -> Outcome:
    x, y = _polygon(record)["points"][0]
    _stray(record, [[x, y], [x + 6, y + 3], [x + 12, y + 6]])
    return "a polygon of no area, its points on one line", "reported and left out"


def _backslash(record: Record) -> Outcome:
    _set(record, imagePath=f"..\\photos\\{record.name}.jpg")
    return "imagePath is a Windows path into a folder that is gone", "the picture beside the file"


def _upper_case(record: Record) -> Outcome:
    _set(record, imagePath=f"{record.name}.jpg".upper())
    return "imagePath is in upper case", "the picture beside the file, case aside"


def _outside(record: Record) -> Outcome | None:
    """Only an object that the frame cuts: its outline runs along the frame already."""
    for shape in _shapes(record):
        on_frame = [p for p in shape["points"] if p[0] <= 0.5 and shape["shape_type"] == "polygon"]
        if on_frame:
            for point in on_frame:
                point[0] = -2.5
            return "vertices 2.5 pixels left of the picture", "clipped to the picture"
    return None


def _flagged(record: Record) -> Outcome:
    _set(record, flags={"checked": True, "blurry": False})
    _shapes(record)[0]["description"] = "half under the other one?"
    return "image flags and a description", "kept, or counted as lost"


def _old_version(record: Record) -> Outcome:
    _set(record, version="5.0.1")
    for shape in _shapes(record):
        del shape["description"], shape["mask"]
    return "written by LabelMe 5.0.1: no description, no mask", "read like the others"


_CHANGES: tuple[Callable[[Record], Outcome | None], ...] = (
    _capital_label,
    _embedded_image,
    _swapped_size,
    _two_points,
    _backslash,
    _outside,
    _padded_label,
    _no_size,
    _no_area,
    _upper_case,
    _flagged,
    _old_version,
)
