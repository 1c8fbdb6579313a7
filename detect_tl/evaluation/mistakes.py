"""The mistakes that are worth a look: of the model, and perhaps of the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from detect_tl.core.geometry import Box
from detect_tl.evaluation.error_types import KINDS, Errors
from detect_tl.evaluation.matching import Matches
from detect_tl.evaluation.overlaps import Bools, Floats

MistakeKind = Literal["false alarm", "missed", "label?"]
MISTAKE_KINDS: tuple[MistakeKind, ...] = get_args(MistakeKind)

# A detection this sure that contradicts the annotation may well be right.
_SURE = 0.6
_LOOSE = 0.3  # overlap from which on a box may be meant for the object, only drawn otherwise


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to look at.

    image: index of the image. box: where, in its pixels. text: what is wrong, in words.
    score: of the detection, None for a missed object. weight: more is worse.
    """

    kind: MistakeKind
    image: int
    box: Box
    text: str
    score: float | None
    weight: float

    def as_json(self, file: str) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "file": file,
            "box": list(self.box),
            "text": self.text,
            "score": self.score,
        }


def find_mistakes(
    matches: Matches, errors: Errors, confidence: Sequence[float]
) -> dict[MistakeKind, list[Mistake]]:
    """Mistakes by kind, the worst first.

    confidence: of every class, from which on a detection is shown to a person; what it leaves out
    is no false alarm, and an object that only such a detection met counts as missed.
    """
    found = [*_of_detections(matches, errors, confidence), *_missed(matches, confidence)]
    found.sort(key=lambda mistake: -mistake.weight)
    return {kind: [each for each in found if each.kind == kind] for kind in MISTAKE_KINDS}


def worst_images(matches: Matches, confidence: Sequence[float]) -> list[tuple[int, int, int]]:
    """(image, objects missed, false alarms) of all images with mistakes, the worst first."""
    shown = _shown(matches, confidence)
    alarms = np.bincount(matches.found.image[shown & matches.wrong()], minlength=matches.images)
    missed = np.bincount(
        matches.objects.image[_not_found(matches, shown)], minlength=matches.images
    )
    order = np.lexsort((np.arange(matches.images), -(alarms + missed)))
    return [(int(k), int(missed[k]), int(alarms[k])) for k in order if alarms[k] + missed[k]]


def _shown(matches: Matches, confidence: Sequence[float]) -> Bools:
    least: Floats = np.asarray(confidence)[matches.found.category]
    return matches.found.score >= least


def _not_found(matches: Matches, shown: Bools) -> Bools:
    met = matches.met[0]
    there = ~matches.objects.crowd
    there[met[(met >= 0) & shown]] = False
    return there


def _of_detections(
    matches: Matches, errors: Errors, confidence: Sequence[float]
) -> Iterator[Mistake]:
    found, names = matches.found, matches.names
    overlap = _overlap_with(matches, errors)
    for row in np.flatnonzero((errors.kind >= 0) & _shown(matches, confidence)).tolist():
        kind, score = KINDS[errors.kind[row]], float(found.score[row])
        name, about = names[found.category[row]], int(errors.object[row])
        label = names[matches.objects.category[about]] if about >= 0 else ""
        text = {
            "class": f"{name}, labelled {label}",
            "location": f"{name}, but its box overlaps the label by {overlap[row]:.0%} only",
            "both": f"{name}, near a {label}",
            "duplicate": f"{name}, found twice",
            "background": f"{name}, where nothing is labelled",
        }[kind]
        contradicts = kind in ("class", "background") or (
            kind == "location" and overlap[row] >= _LOOSE
        )
        doubt = contradicts and score >= _SURE
        box = _box(found.xywh[row])
        image = int(found.image[row])
        yield Mistake("label?" if doubt else "false alarm", image, box, text, score, score)


def _overlap_with(matches: Matches, errors: Errors) -> Floats:
    """How much each detection overlaps the object that its error is about."""
    pairs = matches.pairs
    overlap = np.zeros(len(matches.found))
    about = errors.object[pairs.found] == pairs.object
    overlap[pairs.found[about]] = pairs.iou[about]
    return overlap


def _missed(matches: Matches, confidence: Sequence[float]) -> Iterator[Mistake]:
    objects, names = matches.objects, matches.names
    size = np.sqrt(objects.xywh[:, 2] * objects.xywh[:, 3])
    for row in np.flatnonzero(_not_found(matches, _shown(matches, confidence))).tolist():
        text = f"{names[objects.category[row]]} not found"
        box, image = _box(objects.xywh[row]), int(objects.image[row])
        # large objects are missed for a reason that a person can see
        yield Mistake("missed", image, box, text, None, float(size[row]))


def _box(xywh: Floats) -> Box:
    x, y, width, height = xywh.tolist()
    return Box(x, y, x + width, y + height)
