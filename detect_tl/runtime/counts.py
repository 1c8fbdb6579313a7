"""How many objects cross a line or stay in a zone.

An object is where it stands: at the middle of its box's lower edge.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.files import atomic_path
from detect_tl.core.geometry import Size
from detect_tl.runtime.regions import Points, Region

MARGIN = 0.05
"""An object has changed sides once it is this share of its own size (the root of its area) away
from the line: a box that trembles on the line counts nothing."""

_SLACK = 1.0
"""Pixels by which a line is longer at both ends: what moves along the border of the picture must
not slip by for its numbers being rounded."""

_REMEMBERED = 10_000
"""Objects that a line or zone remembers, those seen last; what was gone for so long is new."""

_Values = Mapping[str, float]

_COLUMNS = ("kind", "name", "class", "in", "out", "mean", "max", "distinct")


@dataclass(slots=True)
class LineCount:
    """Objects that crossed a line, by class id.

    Seen by someone who stands at its first point and looks at the second, `entered` came from the
    right and went to the left, `left` the other way; as on the screen, and as supervision's
    LineZone has it. Who walks around an end of the line does not cross it.
    """

    line: Region
    entered: Counter[int] = field(default_factory=Counter)
    left: Counter[int] = field(default_factory=Counter)
    _seen: dict[int, tuple[float, Points]] = field(default_factory=dict)

    def update(self, size: Size, found: Detections) -> None:
        if found.track_id is None:
            raise ValueError("lines count objects that have track ids")
        start, end = self.line.on(size)
        along = end - start
        length = float(np.hypot(*along))
        for row in np.flatnonzero(found.track_id != NO_TRACK).tolist():
            place, number = _foot(found.xyxy[row]), int(found.track_id[row])
            x1, y1, x2, y2 = found.xyxy[row].tolist()
            offset = place - start
            # Negative on the left: y points down.
            distance = float(along[0] * offset[1] - along[1] * offset[0]) / length
            if abs(distance) <= MARGIN * ((x2 - x1) * (y2 - y1)) ** 0.5:
                continue
            before = self._seen.pop(number, None)
            _remember(self._seen, number, (distance, place))
            if before is None or (before[0] < 0) == (distance < 0):
                continue
            crossing = before[1] + (place - before[1]) * before[0] / (before[0] - distance)
            if -_SLACK <= float((crossing - start) @ along) / length <= length + _SLACK:
                which = self.entered if distance < 0 else self.left
                which[int(found.class_id[row])] += 1


@dataclass(slots=True)
class ZoneCount:
    """Objects inside a zone, its border included, by class id.

    now: in the last frame. total: sum over all frames. most: the most in one frame.
    distinct: objects with different track ids.
    """

    zone: Region
    frames: int = 0
    now: Counter[int] = field(default_factory=Counter)
    total: Counter[int] = field(default_factory=Counter)
    most: Counter[int] = field(default_factory=Counter)
    most_of_all: int = 0
    distinct: Counter[int] = field(default_factory=Counter)
    _seen: dict[int, None] = field(default_factory=dict)

    def update(self, size: Size, found: Detections) -> None:
        import cv2

        corners = self.zone.on(size).astype(np.float32)
        feet = [_foot(box) for box in found.xyxy]
        inside = [
            row
            for row, (x, y) in enumerate(feet)
            if cv2.pointPolygonTest(corners, (float(x), float(y)), False) >= 0
        ]
        self.frames += 1
        self.now = Counter(found.class_id[inside].tolist())
        self.total += self.now
        self.most |= self.now
        self.most_of_all = max(self.most_of_all, len(inside))
        if found.track_id is None:
            return
        for row in inside:
            number = int(found.track_id[row])
            if number == NO_TRACK:
                continue
            if number not in self._seen:
                self.distinct[int(found.class_id[row])] += 1
            self._seen.pop(number, None)
            _remember(self._seen, number, None)


class Counts:
    """All lines and zones of a run. names: of the classes. tracked: whether there are track ids."""

    def __init__(
        self,
        lines: Sequence[Region] = (),
        zones: Sequence[Region] = (),
        names: Sequence[str] = (),
        *,
        tracked: bool = False,
    ) -> None:
        self.lines = [LineCount(line) for line in lines]
        self.zones = [ZoneCount(zone) for zone in zones]
        self._names, self._tracked = names, tracked

    def __bool__(self) -> bool:
        return bool(self.lines or self.zones)

    def update(self, size: Size, found: Detections) -> None:
        """Count one frame; raise UsageError when a line or zone leaves the picture."""
        for line in self.lines:
            line.update(size, found)
        for zone in self.zones:
            zone.update(size, found)

    def as_json(self) -> dict[str, Any]:
        """Everything that was counted, in all and by class.

        `{"lines": {NAME: {"in", "out", "classes": {CLASS: {"in", "out"}}}},
        "zones": {NAME: {"mean", "max", "distinct", "classes": {CLASS: {the same}}}}}`;
        `distinct` is there with track ids only.
        """
        found: dict[str, Any] = {"lines": {}, "zones": {}}
        for kind, name, label, values in self._rows():
            if label is None:
                found[kind][name] = {**values, "classes": {}}
            else:
                found[kind][name]["classes"][label] = values
        return found

    def write(self, path: Path) -> None:
        """A table with a row for each line or zone, and each class there; whole or not at all."""
        with atomic_path(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, _COLUMNS)
            table.writeheader()
            for kind, name, label, values in self._rows():
                start = {"kind": kind.removesuffix("s"), "name": name, "class": label or ""}
                table.writerow({**start, **values})

    def _rows(self) -> Iterator[tuple[str, str, str | None, _Values]]:
        """Kind, name, class (None for all of them) and values."""
        for line in self.lines:
            both = {"in": line.entered.total(), "out": line.left.total()}
            yield "lines", line.line.name, None, both
            for index in sorted(line.entered | line.left):
                each = {"in": line.entered[index], "out": line.left[index]}
                yield "lines", line.line.name, self._names[index], each
        for zone in self.zones:
            whole = zone.total.total(), zone.most_of_all, zone.distinct.total()
            yield "zones", zone.zone.name, None, self._presence(zone, *whole)
            for index in sorted(zone.total):
                values = zone.total[index], zone.most[index], zone.distinct[index]
                yield "zones", zone.zone.name, self._names[index], self._presence(zone, *values)

    def _presence(self, zone: ZoneCount, total: int, most: int, distinct: int) -> _Values:
        mean = round(total / max(zone.frames, 1), 4)
        return {"mean": mean, "max": most, **({"distinct": distinct} if self._tracked else {})}


def _foot(box: Any) -> Points:
    x1, _, x2, y2 = box.tolist()
    return np.array([(x1 + x2) / 2, y2])


def _remember(seen: dict[int, Any], number: int, value: Any) -> None:
    seen[number] = value
    if len(seen) > _REMEMBERED:
        del seen[next(iter(seen))]
