"""What a run of a model can be told: every setting with its default and meaning, in one place.

The API, the command line and the bundle take theirs from here. No pydantic: a bundle does without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from detect_tl import plugins
from detect_tl.core.errors import UsageError, did_you_mean

AUTO: Literal["auto"] = "auto"

RECONNECT_SECONDS = 60.0
LEAST_TILE = 32
MOST_OVERLAP = 0.9

Confidence = float | Mapping[str, float] | Literal["auto"]


def _setting(
    default: Any, text: str, *, least: float | None = None, most: float | None = None
) -> Any:
    """A setting with its meaning; what stands behind "; None: " or "; empty: " is its default.

    least, most: bounds of a number, both allowed.
    """
    return field(default=default, metadata={"text": text, "least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Every setting of a detector. Raises UsageError for a number out of its bounds."""

    conf: Confidence = _setting(  # noqa: RUF009 - a field
        0.25,
        "lowest score to keep, for all or by class (person=0.5,car=0.3); auto: the best one for"
        " every class, as training measured",
        least=0,
        most=1,
    )
    iou: float = _setting(0.7, "overlap from which two boxes of a class are one", least=0, most=1)
    max_det: int = _setting(300, "most objects in a picture", least=1)
    classes: Collection[str | int] | None = _setting(
        None, "classes to keep, by name or number; None: all"
    )
    imgsz: tuple[int, int] | None = _setting(
        None, "side of the input in pixels, or HEIGHTxWIDTH; None: the model's own"
    )
    rect: bool | None = _setting(
        None, "pad to the picture's own shape or to a square; None: rect where sizes are free"
    )
    backend: str = _setting(
        AUTO, "engine that runs it; auto: the fastest of this machine whose answers agree"
    )
    device: str = _setting("", "cpu, mps, cuda, or a CUDA number; empty: the best there is")

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_bounds(each.name, getattr(self, each.name), **each.metadata)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values; raise UsageError for an unknown name or a wrong value."""
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise UsageError(f"unknown setting {name!r}", hint=did_you_mean(name, known))
        given = dict(values)
        if isinstance(given.get("imgsz"), int):
            given["imgsz"] = (given["imgsz"],) * 2
        if given.get("out") is not None:
            given["out"] = Path(given["out"])
        return cls(**given)

    def with_thresholds(self, measured: Callable[[], Mapping[str, float]]) -> Self:
        """The same, with thresholds in place of a confidence of "auto"."""
        return replace(self, conf=measured()) if self.conf == AUTO else self


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig(DetectorConfig):
    """Every setting of a run over a source, those of its detector among them."""

    out: Path | None = _setting(  # noqa: RUF009 - a field
        None, "new folder for the results, which appears whole or not at all; None: writes nothing"
    )
    save: Collection[str] | None = _setting(
        None,
        f"what to write: {', '.join(plugins.names('detect_tl.sinks'))}; None: jsonl, and video or"
        " images",
    )
    show: bool = _setting(
        False, "open a window, one for all sources; q, Esc or closing it ends the run"
    )
    track: bool = _setting(
        False, "follow objects and number them: videos, cameras and streams; conf begins a track"
    )
    lines: Mapping[str, Sequence[float]] | None = _setting(
        None,
        "count who crosses such a line, with track; in is from its right to its left, seen from its"
        " first point towards its second; pixels or fractions; may be repeated",
    )
    zones: Mapping[str, Sequence[float]] | None = _setting(
        None, "count who stands inside such corners; pixels or fractions; may be repeated"
    )
    tiles: int | None = _setting(
        None,
        "look at tiles of this side in pixels too: small objects in large pictures",
        least=LEAST_TILE,
    )
    tile_overlap: float = _setting(
        0.2,
        "share of its side that a tile has in common with the next",
        least=0,
        most=MOST_OVERLAP,
    )
    limit: int | None = _setting(None, "end after so many frames", least=1)
    reconnect: float = _setting(
        RECONNECT_SECONDS,
        "seconds to try again when a camera or stream is lost; 0: not at all",
        least=0,
    )
    stdin_size: tuple[int, int] | None = _setting(
        None, "width and height of the raw frames on standard input"
    )
    stdin_fps: float = _setting(25.0, "frames a second on standard input")


def _check_bounds(
    name: str, value: Any, *, text: str, least: float | None, most: float | None
) -> None:
    del text
    numbers = value.values() if isinstance(value, Mapping) else [value]
    for number in numbers:
        if not isinstance(number, int | float):
            continue
        if least is not None and most is not None and not least <= number <= most:
            raise UsageError(
                f"{name} is {number}", hint=f"It must lie between {least:g} and {most:g}."
            )
        if least is not None and number < least:
            raise UsageError(f"{name} is {number}", hint=f"It must be {least:g} or more.")
