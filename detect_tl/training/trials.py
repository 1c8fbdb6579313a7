"""Trials of a search over settings: what they share, and how one is carried out.

A trial is an ordinary run folder. `trial.json` in it says that it has ended, and how; whoever goes
on with an interrupted search takes it as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from detect_tl.core.errors import DataError, GateError, OutOfMemoryError
from detect_tl.core.files import read_json, write_json
from detect_tl.core.progress import Progress
from detect_tl.training.callbacks import FITNESS_KEYS
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.run import conclude, resume, train
from detect_tl.training.trainer import Conduct
from detect_tl.transfer.space import Settings, Space

Ending = Literal["complete", "stopped", "failed"]
Judge = Callable[[int, float], bool]
"""Is told the number of an epoch and its mAP50-95 on val; says whether the trial goes on."""

REDUCTION = 3
"""Of the trials that come to a rung, one in so many goes on."""

_DIGITS = 6  # with which `metrics.csv` is written: a resumed trial finds the same numbers there


@dataclass(frozen=True, slots=True)
class Rungs:
    """After which epochs trials may be stopped: `first`, and three times as many each time."""

    first: int
    epochs: int

    @classmethod
    def of(cls, epochs: int, first: int | None = None) -> Rungs:
        """By default at a ninth and a third of the epochs."""
        return cls(min(first or math.ceil(epochs / REDUCTION**2), epochs), epochs)

    def __iter__(self) -> Iterator[int]:
        rung = self.first
        while rung < self.epochs:
            yield rung
            rung *= REDUCTION


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial that has ended.

    settings: what was chosen for it; none for the first, which is the training by default.
    values: mAP50-95 on val after every epoch, from the first. seconds: of training, when each was
    known. began: seconds since the search began. ending: stopped by the search, complete by its own
    rules, or failed, with the reason why.
    """

    number: int
    settings: Settings
    began: float
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    ending: Ending
    why: str = ""

    @property
    def best(self) -> float | None:
        """The highest mAP50-95 after an epoch, which is that of `best.pt`; None: it has none."""
        return max(self.values) if self.values and self.ending != "failed" else None

    @property
    def epochs(self) -> int:
        return len(self.values)

    @property
    def took(self) -> float:
        return self.seconds[-1] if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "trial": self.number,
            "settings": self.settings,
            "mAP50-95": self.best,
            "epochs": self.epochs,
            "seconds": self.took,
            "ending": self.ending,
            "why": self.why,
            "began": self.began,
            "curve": list(self.values),
            "times": list(self.seconds),
        }

    @classmethod
    def from_json(cls, path: Path) -> TrialRecord:
        found = read_json(path)
        try:
            return cls(
                number=found["trial"],
                settings=found["settings"],
                began=found["began"],
                values=tuple(found["curve"]),
                seconds=tuple(found["times"]),
                ending=found["ending"],
                why=found["why"],
            )
        except (KeyError, TypeError) as error:
            raise DataError(
                "is not what a trial leaves",
                path=path,
                hint="Remove the folder it lies in, and repeat the command: it is trained again.",
            ) from error


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, and in which folder.

    common: the training by default, on data that is prepared. default: the part of what it comes to
    that lies in the space. minutes: after which no trial begins; None: all do.
    """

    folder: Path
    common: TrainConfig
    space: Space
    rungs: Rungs
    trials: int
    minutes: float | None = None
    default: Settings = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "trials"

    def run(self, number: int) -> RunFolder:
        return RunFolder(self.runs / f"{number:03}")

    def config(self, number: int, settings: Mapping[str, Any]) -> TrainConfig:
        """What a trial trains; raise UsageError for settings that are not allowed."""
        values = self.common.model_dump() | dict(settings) | {"out": self.run(number).path}
        return TrainConfig.parse(values)

    def record(self, number: int) -> TrialRecord | None:
        """The trial of this number, when it has ended."""
        path = self.run(number).trial
        return TrialRecord.from_json(path) if path.is_file() else None

    def records(self) -> list[TrialRecord]:
        """All trials that have ended, in the order of their numbers."""
        paths = sorted(self.runs.glob(f"*/{RunFolder(Path()).trial}"))
        return sorted(map(TrialRecord.from_json, paths), key=lambda each: each.number)

    def began(self) -> float:
        """When the search began, as `time.time()` counts; that of an interrupted one moves up."""
        return time.time() - max((each.began + each.took for each in self.records()), default=0.0)

    def over(self, began: float) -> bool:
        """Whether the time is over in which trials may begin."""
        return self.minutes is not None and time.time() - began >= 60 * self.minutes


def carry_out(
    search: Search,
    number: int,
    settings: Settings,
    judge: Judge,
    *,
    progress: Progress,
    threads: int | None = None,
    began: float,
) -> TrialRecord:
    """Train a trial, or go on with it, until it is complete or the judge stops it.

    A loss that is no number, or too little memory, is a trial that failed; the first one, which is
    the training by default, must not. began: when the search did. Raises what `train` raises.
    """
    config = search.config(number, settings)
    run, since = RunFolder(config.out), time.time() - began
    verdict = _Verdict(config.epochs, judge)
    conduct = Conduct(verdict, threads)
    try:
        if not run.path.exists():
            train(config, progress, conduct)
        elif not run.finished:
            resume(run.path, progress, conduct)
        else:  # all but its last line was written
            verdict.replay(run)
    except (GateError, OutOfMemoryError) as error:
        if number == 0:
            raise
        return end_trial(search, number, settings, "failed", began=since, why=error.message)
    ending: Ending = "stopped" if verdict.stopped else "complete"
    return end_trial(search, number, settings, ending, began=since)


def end_trial(
    search: Search,
    number: int,
    settings: Settings,
    ending: Ending,
    *,
    began: float,
    why: str = "",
) -> TrialRecord:
    """Write down that a trial has ended with the epochs that it has."""
    run = search.run(number)
    if run.resume_state.exists() and ending != "failed":
        conclude(run)
    rows = run.epochs() if run.path.is_dir() else {}
    column = FITNESS_KEYS[run.config().task] if rows else ""
    told = [row for epoch, row in rows.items() if epoch]
    record = TrialRecord(
        number=number,
        settings=settings,
        began=round(began, 1),
        values=tuple(row[column] for row in told),
        seconds=tuple(row["time"] for row in told),
        ending=ending,
        why=why,
    )
    write_json(run.trial, record.as_json())
    return record


class _Verdict:
    """Asks the judge, and remembers that it said no."""

    def __init__(self, epochs: int, judge: Judge) -> None:
        self._epochs = epochs
        self._judge = judge
        self.stopped = False

    def __call__(self, epoch: int, row: Mapping[str, float]) -> bool:
        column = FITNESS_KEYS["segment" if FITNESS_KEYS["segment"] in row else "detect"]
        goes_on = self._judge(epoch, float(f"{row[column]:.{_DIGITS}g}"))
        if epoch < self._epochs and not goes_on:
            self.stopped = True
        return not self.stopped

    def replay(self, run: RunFolder) -> None:
        for epoch, row in run.epochs().items():
            if epoch:
                self(epoch, row)
