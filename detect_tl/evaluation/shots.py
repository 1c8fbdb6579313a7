"""How far a handful of pictures goes: without training, and with it, over several draws.

Both sides see the same pictures of a draw. What is judged is the mean difference of the draws with
its 95 % interval, as in a paired t-test; every interval stands for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from detect_tl.core.errors import UsageError
from detect_tl.core.words import counted
from detect_tl.evaluation.benefit import CONFIDENCE, Answer, Interval, t_interval

FEWEST_SEEDS = 2
_DIGITS = 9  # beyond so many a difference is but rounding


@dataclass(frozen=True, slots=True)
class Trial:
    """One draw of pictures: how many, the mAP50-95 on val, and the seconds, of either side."""

    seed: int
    images: int
    imprinted: float
    tuned: float
    imprinted_seconds: float
    tuned_seconds: float

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "images": self.images,
            "imprinted": {"mAP50-95": self.imprinted, "seconds": self.imprinted_seconds},
            "tuned": {"mAP50-95": self.tuned, "seconds": self.tuned_seconds},
        }


@dataclass(frozen=True, slots=True)
class Shots:
    """All draws with so many pictures of a class. Raises UsageError for fewer than two."""

    shots: int
    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        if len(self.trials) < FEWEST_SEEDS:
            raise UsageError(
                f"{counted(len(self.trials), 'seed')} cannot show how much chance there is",
                hint=f"Take {FEWEST_SEEDS} or more.",
            )

    @property
    def imprinted(self) -> Interval:
        return t_interval([trial.imprinted for trial in self.trials])

    @property
    def tuned(self) -> Interval:
        return t_interval([trial.tuned for trial in self.trials])

    @property
    def gain(self) -> Interval:
        """What training adds, by draws."""
        return t_interval([round(t.tuned - t.imprinted, _DIGITS) for t in self.trials])

    @property
    def images(self) -> float:
        """How many pictures were drawn, on average: one may hold several classes."""
        return fmean(trial.images for trial in self.trials)

    @property
    def seconds(self) -> tuple[float, float]:
        """What imprinting and training took, on average."""
        trials = self.trials
        return fmean(t.imprinted_seconds for t in trials), fmean(t.tuned_seconds for t in trials)

    @property
    def answer(self) -> Answer:
        """Whether training is better."""
        gain = self.gain
        if gain.low > 0:
            return "yes"
        return "no" if gain.high < 0 else "not shown"

    def as_json(self) -> dict[str, Any]:
        return {
            "shots": self.shots,
            "images": self.images,
            "imprinted": self.imprinted.as_json(),
            "tuned": self.tuned.as_json(),
            "gain_by_training": self.gain.as_json(),
            "training_is_better": self.answer,
            "seconds": dict(zip(("imprinted", "tuned"), self.seconds, strict=True)),
            "trials": [trial.as_json() for trial in self.trials],
        }


@dataclass(frozen=True, slots=True)
class Study:
    """What several numbers of shots gave, ascending. epochs: of the training beside it."""

    epochs: int
    rows: tuple[Shots, ...]

    @property
    def verdict(self) -> str:
        """Up to where imprinting is enough, in one sentence."""
        words: dict[Answer, str] = {
            "no": "imprinting alone is better",
            "not shown": "no difference is shown",
            "yes": f"{counted(self.epochs, 'epoch')} of training are better",
        }
        parts = []
        for answer, said in words.items():
            shots = [str(row.shots) for row in self.rows if row.answer == answer]
            if shots:
                noun = "picture" if shots == ["1"] else "pictures"
                parts.append(f"{said} with {_listed(shots)} {noun} of a class")
        return "; ".join(parts)

    def as_json(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "confidence": CONFIDENCE,
            "shots": [row.as_json() for row in self.rows],
            "verdict": self.verdict,
        }


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
