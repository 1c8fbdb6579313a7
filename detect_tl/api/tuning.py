"""Looking for settings that suit the user's data better than the default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from detect_tl.api.tuning_folder import Asked, open_search, plan_search
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.evaluation.tuning import Tried, Tuning
    from detect_tl.training.plan import TrainingPlan
    from detect_tl.training.trials import Search, TrialRecord

TRIALS = 12

RESULT, PICTURE, REPORT = "tune.json", "tune.png", "report.html"

Searching: TypeAlias = "Callable[[Search, Progress, Callable[[TrialRecord], None]], None]"
"""Carries out the trials of a search that are missing, and tells of each that has ended."""


@dataclass(frozen=True, slots=True)
class TunePlan:
    """What a search would do. default: the training that is its first trial."""

    search: Search
    default: TrainingPlan

    def summary(self) -> list[str]:
        """Lines for people."""
        search = self.search
        minutes = f", none begins after {search.minutes:g} minutes" if search.minutes else ""
        rungs = ", ".join(map(str, search.rungs)) or "none"
        return [
            f"{search.trials} trials of {search.rungs.epochs} epochs at most{minutes}",
            f"stopped early after epoch {rungs}: all but the best third of those that came so far",
            "trial 0, the default:",
            *(f"  {line}" for line in self.default.summary()),
            "searched:",
            *(f"  {name}: {meaning}" for name, meaning in search.space.lines()),
        ]

    def as_json(self) -> dict[str, Any]:
        search = self.search
        return {
            "trials": search.trials,
            "minutes": search.minutes,
            "epochs": search.rungs.epochs,
            "rungs": list(search.rungs),
            "default": self.default.as_json(),
            "space": search.space.as_json(),
        }


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What was found, and where everything is.

    best: the run folder of the best trial. command: repeats it.
    """

    folder: Path
    data: Path
    weights: str
    epochs: int
    metric: str
    best: Path
    command: str
    tuning: Tuning
    records: tuple[TrialRecord, ...]

    @property
    def figures(self) -> Path:
        return self.folder / RESULT

    @property
    def picture(self) -> Path:
        return self.folder / PICTURE

    @property
    def report(self) -> Path:
        return self.folder / REPORT

    def as_json(self) -> dict[str, Any]:
        found = self.tuning.as_json()
        return {
            "folder": str(self.folder),
            "data": str(self.data),
            "weights": self.weights,
            "epochs": self.epochs,
            "metric": self.metric,
            "trials": [record.as_json() for record in self.records],
            "best": {"trial": found.pop("best"), "run": str(self.best), "command": self.command},
            **found,
        }


def tune(
    data: str | Path,
    *,
    out: str | Path = "runs/tune",
    trials: int = TRIALS,
    minutes: float | None = None,
    space: str | Path | None = None,
    first_rung: int | None = None,
    keep_all: bool = False,
    progress: Progress | None = None,
    searching: Searching | None = None,
    **settings: Any,
) -> TuneResult:
    """Train with many settings, stop what falls behind, and say which is best.

    The first trial is the training by default, so that the best can be compared with it. The others
    are suggested by Optuna, which learns from those that have ended; after a ninth and a third of
    the epochs only the best third of all that came so far goes on (asynchronous successive
    halving). All have the same data, epochs, size and seed, and are ordinary runs below
    `out`/trials. The same call goes on where an interrupted one ended, to the same result, and one
    with more trials adds to them.

    trials: at most so many. minutes: after which none begins. space: YAML file that says what is
    searched, see `detect_tl.transfer.space`. first_rung: epochs that every trial gets at least.
    keep_all: keep the checkpoints of all trials, not only those of the best and of the default.
    searching: who carries out the trials; None: this process, one after another.
    settings: fields of `TrainConfig`, as for `train`; what is given here is not searched.

    Raises UsageError for a wrong setting and for a folder that belongs to other data or settings,
    and what `train` raises.
    """
    from detect_tl.training.searching import search_here

    show, folder = progress or Silent(), Path(out)
    engine = "local" if searching is None else "ray"
    asked = Asked(data, space, first_rung, trials, minutes, settings)
    search = open_search(folder, asked, engine, show)

    def ended(record: TrialRecord) -> None:
        show.say(_told(record, search))
        if not keep_all:
            drop_losers(search)

    (searching or search_here)(search, show, ended)
    return _result(search, Path(data), show)


def tune_plan(
    data: str | Path,
    *,
    trials: int = TRIALS,
    minutes: float | None = None,
    space: str | Path | None = None,
    first_rung: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> TunePlan:
    """What `tune` would do with the same settings; nothing is trained and nothing written."""
    asked = Asked(data, space, first_rung, trials, minutes, settings)
    return TunePlan(*plan_search(asked, progress or Silent()))


def drop_losers(search: Search) -> None:
    """Remove the checkpoints of trials that have ended, save the best so far and the default."""
    records = search.records()
    kept = {0, best_of(records).number}
    for record in records:
        if record.number not in kept:
            for file in (search.run(record.number).path / "weights").glob("*.pt"):
                file.unlink(missing_ok=True)


def best_of(records: list[TrialRecord]) -> TrialRecord:
    return max(records, key=lambda each: -1.0 if each.best is None else each.best)


def _told(record: TrialRecord, search: Search) -> str:
    """A line about a trial that has ended."""
    if record.best is None:
        return f"trial {record.number}: failed: {record.why}"
    early = " (stopped)" if record.ending == "stopped" else ""
    best = best_of(search.records())
    after = f"{record.best:.3f} after {record.epochs} of {search.rungs.epochs} epochs{early}"
    return f"trial {record.number}: {after}, {record.took:.0f} s; best: trial {best.number}"


def _result(search: Search, data: Path, progress: Progress) -> TuneResult:
    """Measure the best, and write everything that people read of a search."""
    from detect_tl.api.commands import train_command
    from detect_tl.core.files import write_json
    from detect_tl.evaluation.tuning import Tuning
    from detect_tl.evaluation.tuning_page import write_tuning_page
    from detect_tl.evaluation.tuning_plot import write_tuning

    records = search.records()
    best = best_of(records)
    tuning = Tuning(tuple(map(_tried, records)), _tested(search, best, progress))
    repeated = search.config(best.number, best.settings)
    run = search.run(best.number)
    result = TuneResult(
        folder=search.folder,
        data=data,
        weights=search.common.weights,
        epochs=search.rungs.epochs,
        metric="mask mAP50-95" if run.config().task == "segment" else "mAP50-95",
        best=run.path,
        command=train_command(repeated.model_copy(update={"out": search.folder / "best"})),
        tuning=tuning,
        records=tuple(records),
    )
    told = {
        "metric": result.metric,
        "data": data,
        "weights": result.weights,
        "epochs": result.epochs,
        "best": (run.path / REPORT).relative_to(search.folder).as_posix(),
        "command": result.command,
    }
    write_tuning(tuning, result.metric, result.picture)
    write_tuning_page(result.report, tuning, told)
    write_json(result.figures, result.as_json())
    return result


def _tried(record: TrialRecord) -> Tried:
    from detect_tl.evaluation.tuning import Tried
    from detect_tl.training.searching import described

    return Tried(
        number=record.number,
        settings=described(record.settings),
        values=record.values,
        seconds=record.seconds,
        began=record.began,
        ending=record.ending,
        why=record.why,
    )


def _tested(search: Search, best: TrialRecord, progress: Progress) -> Mapping[int, float]:
    """Give the best run its report; measure it and the default on the test split, once."""
    from detect_tl.api.evaluation import evaluate
    from detect_tl.api.training import as_trained, finish
    from detect_tl.core.files import read_json

    run = search.run(best.number)
    if not (run.path / REPORT).is_file():
        finish(as_trained(run), run.config().device, progress)
    if not any((run.dataset() / "images" / "test").glob("*")):
        return {}
    figures = search.folder / RESULT
    known = read_json(figures)["test"] if figures.is_file() else {}
    found = {}
    for number in sorted({0, best.number}):
        if str(number) in known:
            found[number] = float(known[str(number)])
            continue
        measured = evaluate(
            search.run(number).path,
            split="test",
            device=search.common.device,
            analysis=False,
            progress=progress,
        )
        found[number] = _score(measured)
    return found


def _score(measured: Any) -> float:
    return float(measured.metrics.main.map50_95 or 0.0)
