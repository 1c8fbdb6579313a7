"""The thresholds of all checks, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from detect_tl.curate.duplicates import ALIKE
from detect_tl.curate.rules import LEAST_OVERLAP, LEAST_SIDE, ROUNDING


def _limit(default: float, unit: str, reason: str) -> Any:
    return field(default=default, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a check compares with. Every field knows its unit and the reason for its default."""

    imgsz: int = _limit(640, "px", "side of the square that training scales an image into")
    border: float = _limit(ROUNDING, "px", "rounding puts boxes up to a pixel over the border")
    thin: float = _limit(1.0, "px", "a box thinner than a pixel shows nothing")
    tiny: float = _limit(8.0, "px at imgsz", "a cell of YOLO's finest feature map is 8 pixels wide")
    tiny_share: float = _limit(0.2, "of a class", "a few objects far away are normal")
    same_box: float = _limit(0.95, "IoU", "two people who outline one object agree less than this")
    box_of_mask: float = _limit(LEAST_OVERLAP, "IoU", "below it a box belongs to something else")
    crossing: float = _limit(
        0.01, "of the area", "loops of a pixel or two are left by every tool and change nothing"
    )
    least_image: int = _limit(LEAST_SIDE, "px", "Ultralytics leaves out images with a shorter side")
    aspect: float = _limit(4.0, "to 1", "three quarters of the square input are padding then")
    reduction: float = _limit(8.0, "times imgsz", "an object of 64 pixels is left with 8")
    size_spread: float = _limit(8.0, "times", "the same object is 8 times larger in some images")
    few: int = _limit(10, "objects", "what is held out of so few measures nothing")
    imbalance: float = _limit(100.0, "times", "a class in a hundred is seldom seen in a batch")
    typo: float = _limit(
        0.1, "of the objects", "a misspelling is rarer than the name; two real names seldom are"
    )
    density: float = _limit(
        6.0, "deviations", "counts vary by chance; six robust deviations are none"
    )
    background: float = _limit(0.5, "of the images", "more background than objects is rarely meant")
    alike: int = _limit(ALIKE, "of 64 bits", "measured, see detect_tl.curate.duplicates")

    @classmethod
    def describe(cls, name: str) -> tuple[str, str]:
        """A threshold in words ("8 px at imgsz") and the reason for it."""
        (found,) = (f for f in fields(cls) if f.name == name)
        return f"{found.default:g} {found.metadata['unit']}", str(found.metadata["reason"])
