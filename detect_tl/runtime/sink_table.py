"""A table of detections, which `detect-tl` and spreadsheets read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager

from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.files import atomic_path, disk_errors
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import Place, Sink, Write, picture_name

COLUMNS = "frame time image class class_id score x1 y1 x2 y2 track_id".split()


@contextmanager
def table(place: Place) -> Iterator[Write]:
    """Write detections.csv, one row for each detection; frames without any have none.

    image: the file that the other sinks write for the frame. Boxes are in pixels of the upright
    image. track_id is empty for an object without one.
    """
    path = place.file("detections.csv")
    with atomic_path(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)

        def write(frame: Frame, found: Detections) -> bool:
            start = frame.index, round(frame.time, 6), picture_name(frame, place.source)
            with disk_errors(path):
                for row, class_id in enumerate(found.class_id.tolist()):
                    number = NO_TRACK if found.track_id is None else int(found.track_id[row])
                    rows.writerow(
                        (
                            *start,
                            place.names[class_id],
                            class_id,
                            round(float(found.score[row]), 5),
                            *(round(v, 2) for v in found.xyxy[row].tolist()),
                            "" if number == NO_TRACK else number,
                        )
                    )
            return True

        yield write


CSV = Sink("a table with a row for every detection", table)
