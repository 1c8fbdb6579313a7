"""What transfer gains over training from scratch, from runs of both with the same seeds.

Torrey and Shavlik (Transfer Learning, 2010) name three benefits: a higher start, a higher slope and
a higher asymptote. Each is a number of one run. Two runs with the same seed make a pair, and what
is judged is the mean difference of the pairs with its 95 % interval, as in a paired t-test. Every
interval stands for itself: nothing is corrected for there being three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

from detect_tl.core.errors import UsageError
from detect_tl.core.words import counted
from detect_tl.evaluation.course import NAMES, Course, Name

Answer = Literal["yes", "no", "not shown"]

CONFIDENCE = 0.95
FEWEST_SEEDS = 2

# An mAP is written with five digits. Beyond so many a difference is but rounding, and no benefit.
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and between which limits it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


def t_interval(values: Sequence[float]) -> Interval:
    """The mean of a sample of two or more, with its interval by Student's t.

    mean ± t(0.975; n - 1) · s / √n, where s is the standard deviation of the sample.
    """
    from scipy.special import stdtrit  # the quantile alone; scipy.stats takes a second to load

    mean, count = fmean(values), len(values)
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    half = quantile * stdev(values) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the three benefits.

    transfer, scratch: its value in every run, pairs in the same place.
    difference: transfer less scratch, by pairs.
    """

    name: Name
    transfer: tuple[float, ...]
    scratch: tuple[float, ...]
    difference: Interval

    @property
    def answer(self) -> Answer:
        """Whether the interval lies above 0, below 0, or contains it."""
        if self.difference.low > 0:
            return "yes"
        return "no" if self.difference.high < 0 else "not shown"

    @property
    def verdict(self) -> str:
        """The answer in words."""
        found = self.difference
        between = f"{self.text(found.low)} to {self.text(found.high)}"
        if self.answer == "yes":
            return f"yes: {self.text(found.mean)} more with transfer (95 % interval {between})"
        if self.answer == "no":
            less = f"{self.text(-found.high)} to {self.text(-found.low)}"
            return f"no: scratch is better by {self.text(-found.mean)} (95 % interval {less})"
        if found.low == found.high:
            return "not shown: both are the same"
        return f"not shown: the 95 % interval of the difference, {between}, contains 0"

    def text(self, value: float) -> str:
        """A value, with as many digits as it is worth; what is not 0 does not read as 0."""
        digits, value = (4 if self.name == "slope" else 3), round(value, _DIGITS) + 0.0  # no "-0"
        return f"{value:.1g}" if 0 < abs(value) < 0.5 * 10**-digits else f"{value:.{digits}f}"

    def as_json(self) -> dict[str, Any]:
        return {
            "transfer": {"mean": fmean(self.transfer), "by_seed": list(self.transfer)},
            "scratch": {"mean": fmean(self.scratch), "by_seed": list(self.scratch)},
            "difference": self.difference.as_json(),
            "answer": self.answer,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class CatchUp:
    """When transfer first reached the best that scratch ever reached, with the same seed.

    best: of scratch. epoch, seconds: of transfer, epoch 0 being the start; None: never.
    scratch_epoch, scratch_seconds: when scratch itself was there.
    """

    seed: int
    best: float
    epoch: int | None
    seconds: float | None
    scratch_epoch: int
    scratch_seconds: float

    @classmethod
    def between(cls, transfer: Course, scratch: Course) -> CatchUp:
        best = scratch.asymptote
        epoch, own = transfer.reached(best), scratch.values.index(best, 1)
        seconds = None if epoch is None else transfer.seconds[epoch]
        return cls(scratch.seed, best, epoch, seconds, own, scratch.seconds[own])

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "scratch_best": self.best,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "scratch_epoch": self.scratch_epoch,
            "scratch_seconds": self.scratch_seconds,
        }


@dataclass(frozen=True, slots=True)
class Benefit:
    """The courses of both sides, pairs in the same place, and what they say."""

    transfer: tuple[Course, ...]
    scratch: tuple[Course, ...]
    measures: tuple[Measure, ...]
    catch_ups: tuple[CatchUp, ...]

    @property
    def sides(self) -> dict[str, tuple[Course, ...]]:
        return {"transfer": self.transfer, "scratch": self.scratch}

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(course.seed for course in self.transfer)

    @property
    def epochs(self) -> int:
        return self.transfer[0].epochs

    @property
    def verdict(self) -> str:
        """The three answers as one sentence."""
        by_answer: dict[Answer, list[str]] = {"yes": [], "no": [], "not shown": []}
        for measure in self.measures:
            by_answer[measure.answer].append(measure.name)
        shown, lost, open_ = by_answer["yes"], by_answer["no"], by_answer["not shown"]
        if not shown and not lost:
            seeds = counted(len(self.seeds), "seed")
            return (
                f"no benefit here: with {seeds} none of the three is shown, which does not prove"
                " that there is none; more --seeds narrow the intervals"
            )
        gained = f"a higher {_listed(shown, 'and')}"
        missed = f"scratch has the higher {_listed(lost, 'and')}"
        rest = f"; a higher {_listed(open_, 'or')} is not shown" if open_ else ""
        if not lost:
            return f"transfer helps on this data: {gained}{rest}"
        if not shown:
            return f"transfer does not help on this data: {missed}{rest}"
        return f"transfer helps in part: {gained}, but {missed}{rest}"

    @property
    def catch_up(self) -> str:
        """When transfer was as good as scratch ever was, as one sentence."""
        learned = [each for each in self.catch_ups if each.best > 0]  # 0 is nothing to reach
        if not learned:
            return f"scratch learned nothing in {counted(self.epochs, 'epoch')}"
        there = [c for c in learned if c.epoch is not None and c.seconds is not None]
        pairs = counted(len(learned), "seed")
        if not there:
            return f"transfer never reached the best of scratch, with any of {pairs}"
        own = _moment([(c.scratch_epoch, c.scratch_seconds) for c in there])
        found = _moment([(c.epoch or 0, c.seconds or 0.0) for c in there])
        return (
            f"transfer reached the best of scratch with {len(there)} of {pairs}: on average"
            f" {found}; scratch itself {own}"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "confidence": CONFIDENCE,
            **{measure.name: measure.as_json() for measure in self.measures},
            "time_to_best_of_scratch": [each.as_json() for each in self.catch_ups],
            "verdict": self.verdict,
            "courses": {
                side: [course.as_json() for course in courses]
                for side, courses in self.sides.items()
            },
        }


def _listed(words: Sequence[str], last: str) -> str:
    """ "", "a", "a and b", "a, b and c", with `last` for "and"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _moment(moments: Sequence[tuple[int, float]]) -> str:
    """ "in epoch 2.5, after 40 s" of the mean."""
    epoch, seconds = (fmean(part) for part in zip(*moments, strict=True))
    return f"in epoch {f'{epoch:.1f}'.removesuffix('.0')}, after {seconds:.0f} s"


def mean_course(courses: Sequence[Course]) -> list[Interval]:
    """The mean of several runs with its interval, at the start and after every epoch."""
    return [t_interval(values) for values in zip(*(c.values for c in courses), strict=True)]


def measure_benefit(transfer: Sequence[Course], scratch: Sequence[Course]) -> Benefit:
    """Compare runs by transfer with runs from scratch; the order of the seeds is the same.

    Raises UsageError for fewer than two pairs, for seeds that differ, and for runs of different
    length: these say nothing about each other.
    """
    if len(transfer) < FEWEST_SEEDS:
        raise UsageError(
            f"{counted(len(transfer), 'seed')} cannot show how much chance there is",
            hint=f"Take {FEWEST_SEEDS} or more; 3 is usual.",
        )
    if [c.seed for c in transfer] != [c.seed for c in scratch]:
        raise UsageError("the runs by transfer and from scratch have different seeds")
    if len({c.epochs for c in (*transfer, *scratch)}) != 1:
        raise UsageError("the runs are not of the same number of epochs")
    pairs = list(zip(transfer, scratch, strict=True))
    return Benefit(
        tuple(transfer),
        tuple(scratch),
        tuple(_measure(name, pairs) for name in NAMES),
        tuple(CatchUp.between(*pair) for pair in pairs),
    )


def _measure(name: Name, pairs: Sequence[tuple[Course, Course]]) -> Measure:
    ours, theirs = zip(*((a.of(name), b.of(name)) for a, b in pairs), strict=True)
    differences = [round(a - b, _DIGITS) for a, b in zip(ours, theirs, strict=True)]
    return Measure(name, ours, theirs, t_interval(differences))
