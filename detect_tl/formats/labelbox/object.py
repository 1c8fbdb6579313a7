"""One object of a Labelbox export, of today's (NDJSON) or of the one before (JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from detect_tl.core.geometry import Box, Mask, PolygonMask, rings_box
from detect_tl.core.objects import Json
from detect_tl.formats.no_area import NoAreaError
from detect_tl.formats.records import label_of, numbers, outline

_Record = Mapping[str, Any]

_BOXES = ("bounding_box", "bbox")
_OUTLINES = ("polygon", "geometry")
# A mask lies at an address that only its owner may open.
MASKS = frozenset({"mask", "composite_mask", "instanceURI"})
_NO_AREAS = ("point", "line", "location", "entity")


def parse_object(record: _Record) -> tuple[str, Box, Mask | None]:
    """The class, the box and the mask of an object, in pixels.

    Raises NoAreaError for what has no area or is not in the file, and one of
    `records.UNREADABLE`, saying what is wrong, for anything that is not sound.
    """
    for key in _OUTLINES:
        if record.get(key) is not None:
            values = [v for p in record[key] for v in numbers([p["x"], p["y"]])]
            ring = np.asarray(values, dtype=np.float64).reshape(-1, 2)
            if len(ring) > 3 and (ring[0] == ring[-1]).all():
                ring = ring[:-1]  # it is closed by its first point
            ring = outline(ring)
            return _label(record), rings_box([ring]), PolygonMask((ring,))
    for key in _BOXES:
        if record.get(key) is not None:
            sides = (record[key][k] for k in ("left", "top", "width", "height"))
            return _label(record), Box.from_xywh(*numbers(sides)), None
    if MASKS & record.keys():
        raise NoAreaError("mask")
    kind = next((key for key in _NO_AREAS if key in record), record.get("annotation_kind"))
    raise NoAreaError(kind if isinstance(kind, str) else "unknown")


def _label(record: _Record) -> str:
    for key in ("name", "title", "value"):
        if record.get(key) is not None:
            return label_of(record[key])
    raise KeyError("name")


def answers(record: _Record) -> dict[str, Json]:
    """What was answered about an object, by the question."""
    listed = record.get("classifications")
    return dict(_answers(listed if isinstance(listed, list) else []))


def _answers(questions: list[Any]) -> Iterator[tuple[str, Json]]:
    for question in questions:
        if not isinstance(question, dict):
            continue
        name = question.get("name") or question.get("title")
        answer = _answer(question)
        if isinstance(name, str) and answer is not None:
            yield name, answer


def _answer(question: _Record) -> Json:
    for key in ("radio_answer", "text_answer", "answer"):
        if question.get(key) is not None:
            return _text(question[key])
    for key in ("checklist_answers", "checklist_answer", "answers"):
        if isinstance(question.get(key), list):
            return [_text(answer) for answer in question[key]]
    return None


def _text(answer: Any) -> Json:
    if not isinstance(answer, dict):
        return answer if isinstance(answer, str | int | float) else None
    found = (answer.get(key) for key in ("name", "title", "content", "value"))
    return next((text for text in found if isinstance(text, str | int | float)), None)
