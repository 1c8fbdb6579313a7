"""How good a model is in the course of its training, and what three numbers say of that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from detect_tl.core.errors import DataError

Name = Literal["start", "slope", "asymptote"]

NAMES: tuple[Name, ...] = ("start", "slope", "asymptote")


@dataclass(frozen=True, slots=True)
class Course:
    """How the mAP50-95 on the val split rose in one run.

    values: before the first step, then after every epoch, in [0, 1].
    seconds: of training, when each was known.
    """

    seed: int
    values: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def epochs(self) -> int:
        return len(self.values) - 1

    @property
    def start(self) -> float:
        """MAP50-95 before the first step."""
        return self.values[0]

    @property
    def slope(self) -> float:
        """Mean gain of mAP50-95 per epoch over the first third of the epochs, at least one.

        To be read beside the start: who starts high has less to gain.
        """
        third = max(self.epochs // 3, 1)
        return (self.values[third] - self.values[0]) / third

    @property
    def asymptote(self) -> float:
        """The best mAP50-95 after any epoch: that of `best.pt`, which is what a user keeps.

        The mean of the last epochs would say more of how noisy they are, and of whether the rate
        had fallen by then. A maximum is a little too high, but so it is on both sides.
        """
        return max(self.values[1:])

    def of(self, name: Name) -> float:
        """One of the three numbers above, by its name."""
        return {"start": self.start, "slope": self.slope, "asymptote": self.asymptote}[name]

    def reached(self, wanted: float) -> int | None:
        """The first epoch with at least `wanted`, 0 for the start; None: none had it."""
        return next((k for k, value in enumerate(self.values) if value >= wanted), None)

    def as_json(self) -> dict[str, Any]:
        return {"seed": self.seed, "mAP50-95": list(self.values), "seconds": list(self.seconds)}


def course_of(
    curves: Mapping[str, Sequence[float]], column: str, *, seed: int, path: Path
) -> Course:
    """The course of a run from its `metrics.csv` at `path`, as `read_curves` gives it.

    column: that of the mAP50-95. Raises DataError where the start or an epoch is missing.
    """
    values, seconds = tuple(curves.get(column, ())), tuple(curves.get("time", ()))
    complete = len(values) > 1 and list(curves.get("epoch", ())) == list(range(len(values)))
    if not complete or not all(map(math.isfinite, (*values, *seconds))):
        raise DataError(
            "does not hold the mAP50-95 of the start and of every epoch",
            path=path,
            hint="Remove this run, and repeat the command: it is then trained again.",
        )
    return Course(seed, values, seconds)
