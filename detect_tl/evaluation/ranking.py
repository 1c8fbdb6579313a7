"""Weights side by side before any training: what was measured of them, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANCE = 0.01
"""Scores below this are those of boxes that hit by chance."""

# What differs by less is as good: candidates by their scores, depths by their probes.
_SAME = 0.02


@dataclass(frozen=True, slots=True)
class Depth:
    """What is known when layers up to a depth stay as they are.

    frozen: how many layers these are. classes: of the points that a linear probe of their features
    names rightly on other pictures, the mean over classes and background, less chance, 0 to 1.
    boxes: the share of the variance of sides of boxes that a probe explains there, 0 to 1.
    logme: log evidence of a linear model of the classes, for each point.
    """

    name: str
    frozen: int
    classes: float
    boxes: float
    logme: float

    @property
    def score(self) -> float:
        """The mean of classes and boxes."""
        return (self.classes + self.boxes) / 2

    def as_json(self) -> dict[str, Any]:
        return {
            "freeze": self.name,
            "layers": self.frozen,
            "score": self.score,
            "classes": self.classes,
            "boxes": self.boxes,
            "logme": self.logme,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights to start from.

    score: mAP50-95 on one half of the pictures after imprinting on the other half, both ways round.
    known: classes whose rows the weights lend by name. seconds: that all of it took.
    depths: what could be frozen, as it was asked for.
    """

    name: str
    path: Path | None
    parameters: int
    score: float
    known: tuple[str, ...]
    seconds: float
    depths: tuple[Depth, ...]

    @property
    def keep(self) -> Depth | None:
        """The depth with most frozen layers that is about as good as the best of them."""
        best = max((depth.score for depth in self.depths), default=0.0)
        able = [depth for depth in self.depths if depth.score >= best - _SAME]
        return max(able, key=lambda depth: depth.frozen, default=None)

    def as_json(self) -> dict[str, Any]:
        return {
            "weights": self.name,
            "path": str(self.path) if self.path else None,
            "parameters": self.parameters,
            "score": self.score,
            "known_classes": list(self.known),
            "seconds": round(self.seconds, 2),
            "depths": [depth.as_json() for depth in self.depths],
            "freeze": self.keep.name if self.keep else None,
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates, the best first. images, objects: that were looked at.

    left_out: of the weights on this machine, why they could not be used, by name.
    """

    data: Path
    images: int
    objects: int
    imgsz: int
    candidates: tuple[Candidate, ...]
    left_out: dict[str, str]
    seconds: float

    @property
    def verdict(self) -> str:
        """What to start from and what to freeze, in one sentence."""
        best = self.candidates[0]
        if best.score < CHANCE:
            return (
                "none of them finds anything here before it is trained, so this does not say which"
                " is best: compare short trainings"
            )
        keep = f", --freeze {best.keep.name}" if best.keep else ""
        rivals = [c.name for c in self.candidates[1:] if c.score > best.score - _SAME]
        close = f"; {', '.join(rivals)} about as good" if rivals else ""
        return f"start from {best.name}{keep}{close}"

    def as_json(self) -> dict[str, Any]:
        return {
            "data": str(self.data),
            "images": self.images,
            "objects": self.objects,
            "imgsz": self.imgsz,
            "seconds": round(self.seconds, 2),
            "candidates": [candidate.as_json() for candidate in self.candidates],
            "left_out": self.left_out,
            "verdict": self.verdict,
        }
