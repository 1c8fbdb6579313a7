"""The rows of one YOLO label file.

    class cx cy w h                     a box, as fractions of the image
    class x1 y1 x2 y2 x3 y3 …           an outline; with four corners, a turned box
    class cx cy w h  px py [v] …        a box with key points, where data.yaml has `kpt_shape`
    … confidence                        behind any of them, of a prediction
    x1 y1 … x4 y4 name difficult        DOTA: pixels, and the class by name

A number too many tells an outline with a confidence from a damaged one only where all rows of a
file have it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.dataset import NO_ATTRIBUTES, CategoryIndex, Instance, Json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, PolygonMask, Size, ring, rings_box
from detect_tl.formats.gather import UndeclaredClassError
from detect_tl.formats.yolo.data_yaml import MOST_CLASSES

# The first row of a label file; of DOTA's, behind two lines about the image.
FIRST_ROW = re.compile(
    rb"(\xef\xbb\xbf)?\s*\d+(\.0*)?([ \t]+[-+]?(\d|\.\d|nan|inf)[^\s,]*){4,}[ \t]*(\r|\n|$)"
)
FIRST_DOTA_ROW = re.compile(
    rb"(\xef\xbb\xbf)?\s*(imagesource:[^\n]*\n)?(gsd:[^\n]*\n)?(\d+[ \t]+)?"
    rb"([-+]?\d+(\.\d*)?[ \t]+){8}[^\s\d.][^\s]*[ \t]+[012][ \t]*(\r|\n|$)"
)
_DOTA_HEADS = ("imagesource:", "gsd:")
# Fractions beyond this are no rounding at the border of an image but another unit.
_LARGEST = 2.0


@dataclass(slots=True)
class RowReader:
    """Reads the rows of label files.

    index: takes the classes that are met. keypoints: how many an object has, and of how many
    numbers. scored: rows with a confidence so far.
    """

    index: CategoryIndex
    report: Report
    keypoints: tuple[int, int] | None = None
    scored: int = field(default=0, init=False)

    def read(self, path: Path, names: Sequence[str], size: Size) -> Iterator[Instance]:
        """The objects of a file; a row that cannot be read is counted, and named with its line.

        names: of the classes by their numbers; none when nothing declares them.
        """
        text = path.read_text("utf-8-sig", errors="replace")
        rows = [(k, line.split()) for k, line in enumerate(text.splitlines(), 1) if line.strip()]
        all_scored = all(len(words) >= 6 and len(words) % 2 == 0 for _, words in rows)
        for number, words in rows:
            if words[0].lower().startswith(_DOTA_HEADS):
                continue
            try:
                if _is_dota(words):
                    yield self._dota(words)
                else:
                    category, values = _parse(words)
                    yield self._instance(self._category(category, names), values, size, all_scored)
            except ValueError as error:
                self.report.lost["objects-unreadable"] += 1
                code = getattr(error, "code", "yolo.bad-row")
                self.report.add(code, "error", f"the row is lost: {error}", path, number)

    def _category(self, number: int, names: Sequence[str]) -> int:
        if not names:
            return self.index.add(f"class_{number}")
        if number >= len(names):
            raise UndeclaredClassError(
                f"class {number} is not declared; the last one is {len(names) - 1}"
            )
        return self.index.add(names[number])

    def _instance(
        self, category: int, values: list[float], size: Size, all_scored: bool
    ) -> Instance:
        w, h = size
        extra: dict[str, Json] = {}
        points = math.prod(self.keypoints) if self.keypoints else 0
        boxes = {4, 4 + points}
        outline_scored = all_scored and not points and len(values) >= 7 and 0 <= values[-1] <= 1
        if len(values) - 1 in boxes or outline_scored:
            extra["score"] = values.pop()
            self.scored += 1
        if len(values) in boxes:
            cx, cy, bw, bh = values[:4]
            if self.keypoints and len(values) > 4:
                extra["keypoints"] = _in_pixels(values[4:], self.keypoints[1], size)
                self.report.changed["keypoints-kept-as-attributes"] += 1
            box = Box.from_cxcywh(cx * w, cy * h, bw * w, bh * h)
            return Instance(category, box, attributes=extra or NO_ATTRIBUTES)
        if len(values) < 6 or len(values) % 2:
            text = f"{len(values)} numbers after the class are neither a box nor an outline"
            hint = "; for key points, data.yaml must have kpt_shape" if len(values) > 6 else ""
            raise ValueError(text + hint)
        outline = ring(values) * (w, h)
        mask = PolygonMask((outline,))
        return Instance(category, rings_box([outline]), mask, attributes=extra or NO_ATTRIBUTES)

    def _dota(self, words: Sequence[str]) -> Instance:
        outline = ring([float(word) for word in words[-10:-2]])
        difficult: dict[str, Json] = {"difficult": True} if words[-1] != "0" else {}
        category = self.index.add(words[-2])
        mask = PolygonMask((outline,))
        return Instance(category, rings_box([outline]), mask, attributes=difficult or NO_ATTRIBUTES)


def _in_pixels(values: Sequence[float], numbers: int, size: Size) -> list[list[float]]:
    """Key points [x, y] or [x, y, visibility] in pixels."""
    rows = [values[k : k + numbers] for k in range(0, len(values), numbers)]
    return [[x * size.width, y * size.height, *rest] for x, y, *rest in rows]


def _is_dota(words: Sequence[str]) -> bool:
    numbers = words[-10:-2]
    return (
        len(words) in (10, 11)
        and words[-1] in ("0", "1", "2")
        and not _is_number(words[-2])
        and all(_is_number(word) and math.isfinite(float(word)) for word in numbers)
    )


def _parse(words: Sequence[str]) -> tuple[int, list[float]]:
    """The class and the numbers behind it; raises ValueError in words for the user."""
    try:
        first, *values = (float(word) for word in words)
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        raise ValueError(f"{wrong[:50]!r} is not a number") from None
    if not first.is_integer() or not 0 <= first <= MOST_CLASSES:
        raise ValueError(f"{words[0]!r} is not a class number")
    if not all(math.isfinite(v) for v in values):
        raise ValueError("a number is not finite")
    if max(map(abs, values), default=0) > _LARGEST:
        worst = max(values, key=abs)
        raise ValueError(f"{worst:g} is not a fraction of the image; numbers must be 0 to 1")
    return int(first), values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
