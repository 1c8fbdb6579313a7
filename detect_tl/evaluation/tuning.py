"""What a search over settings has found: its trials, the best, and how far to trust that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from detect_tl.core.words import counted

Ending = Literal["complete", "stopped", "failed"]

HEADER = ("trial", "settings", "epochs", "seconds", "mAP50-95", "")


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial.

    settings: in words. values: mAP50-95 on val after every epoch. seconds: of its training, when
    each was known. began: seconds since the search began. ending: stopped early by the search,
    complete, or failed, with the reason why.
    """

    number: int
    settings: str
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    began: float
    ending: Ending
    why: str = ""

    @property
    def best(self) -> float | None:
        """The highest value, which is that of the checkpoint that is kept; None: it has none."""
        return max(self.values) if self.values and self.ending != "failed" else None

    @property
    def epochs(self) -> int:
        return len(self.values)

    @property
    def took(self) -> float:
        return self.seconds[-1] if self.seconds else 0.0

    def row(self) -> tuple[str, ...]:
        """Its cells under `HEADER`."""
        score = "-" if self.best is None else f"{self.best:.3f}"
        note = {"complete": "", "stopped": "stopped early", "failed": f"failed: {self.why}"}
        numbers = (str(self.epochs), f"{self.took:.0f}", score)
        return (str(self.number), self.settings, *numbers, note[self.ending])


@dataclass(frozen=True, slots=True)
class Tuning:
    """All trials that have ended, in the order of their numbers; the first is the default.

    test: mAP50-95 of the best and of the default on a test split, by the number of the trial; none
    where there is no such split.
    """

    trials: tuple[Tried, ...]
    test: Mapping[int, float]

    @property
    def best(self) -> Tried:
        """The trial of the highest mAP50-95 on val; of equal ones the first."""
        return max(self.trials, key=lambda each: -1.0 if each.best is None else each.best)

    @property
    def default(self) -> Tried:
        return self.trials[0]

    @property
    def verdict(self) -> str:
        others = len(self.trials) - 1
        best, ours = self.best, self.default.best or 0.0
        if best.number == self.default.number:
            tried = counted(others, "other trial")
            return f"the default was not beaten: {ours:.3f}, and none of {tried} came above it"
        won = best.best or 0.0
        return (
            f"trial {best.number} beats the default by {won - ours:.3f} on val:"
            f" {won:.3f} against {ours:.3f}"
        )

    @property
    def caution(self) -> str:
        """How far the best value is to be trusted."""
        chosen = counted(len(self.trials), "trial")
        text = f"the best of {chosen} by the same val pictures is a little too good to be true"
        best, default = self.best.number, self.default.number
        if best not in self.test:
            return f"{text}; there is no test split to measure it on"
        told = f"{self.test[best]:.3f}"
        if best != default and default in self.test:
            told += f", and the default {self.test[default]:.3f}"
        return f"{text}; on the test split, by which nothing was chosen, it has {told}"

    def best_over_time(self) -> list[tuple[float, float]]:
        """Seconds since the search began, and the best value that was known by then."""
        moments = sorted(
            (trial.began + second, value)
            for trial in self.trials
            if trial.ending != "failed"
            for second, value in zip(trial.seconds, trial.values, strict=True)
        )
        found: list[tuple[float, float]] = []
        for second, value in moments:
            if not found or value > found[-1][1]:
                found.append((second, value))
        return found

    def as_json(self) -> dict[str, Any]:
        return {
            "best": self.best.number,
            "mAP50-95": self.best.best,
            "default": self.default.best,
            "beaten": self.best.number != self.default.number,
            "test": {str(number): value for number, value in self.test.items()},
            "verdict": self.verdict,
            "caution": self.caution,
            "best_over_time": [list(each) for each in self.best_over_time()],
        }


def ranked(trials: Sequence[Tried]) -> list[Tried]:
    """From the best to those that have no value."""
    return sorted(trials, key=lambda each: (each.best is None, -(each.best or 0.0), each.number))
