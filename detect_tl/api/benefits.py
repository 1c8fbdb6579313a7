"""Measuring on the user's data what transfer gains over training from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.series import fingerprint, finished, on_folder, refuse_other_settings
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.core.model_spec import Task
    from detect_tl.evaluation.benefit import Benefit
    from detect_tl.evaluation.course import Course
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.folder import RunFolder

EPOCHS = 20
SEEDS = 3

SETTINGS = "settings.json"
_RESULT, _PICTURE = "benefit.json", "benefit.png"

# What is decided here: all runs are measured at the start, and take all of their epochs.
DECIDED: dict[str, Any] = {
    "measure_start": True,
    "patience": 0,
    "keep_classes": (),
    "keep_by": "branch",
    "replay": None,
    "teacher": None,
    "teach": 1.0,
}


@dataclass(frozen=True, slots=True)
class BenefitResult:
    """What was measured, and where everything is.

    folder: with the runs, the figures and the picture. strategy: of the runs by transfer.
    """

    folder: Path
    data: Path
    task: Task
    weights: str
    strategy: str
    benefit: Benefit

    @property
    def metric(self) -> str:
        """What was measured, on the val split."""
        return "mask mAP50-95" if self.task == "segment" else "mAP50-95"

    @property
    def figures(self) -> Path:
        return self.folder / _RESULT

    @property
    def picture(self) -> Path:
        return self.folder / _PICTURE

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "data": str(self.data),
            "task": self.task,
            "weights": self.weights,
            "strategy": self.strategy,
            "metric": self.metric,
            **self.benefit.as_json(),
        }


def benefit(
    data: str | Path,
    *,
    out: str | Path = "runs/benefit",
    seeds: int = SEEDS,
    strategy: str = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> BenefitResult:
    """Train by transfer and from scratch with several seeds, and compare how they go.

    The runs are alike in all but their start: split, epochs (20 where none are given), size and
    batch are the same. See `detect_tl.evaluation.benefit` for what is measured. They lie below
    `out`; the same call goes on where an interrupted one ended, and one with more seeds adds to the
    runs that are there. The number of seeds is best fixed before the first look: who adds seeds
    until something shows will find something.

    Seconds are those of these runs: features that an earlier run on the same pictures has kept
    shorten the ones by transfer, and other work on the machine lengthens either.

    seeds: pairs of runs. strategy: of transfer. settings: fields of `TrainConfig`, as for `train`,
    save `measure_start` and `patience`; seed: of the first pair, and of the split.

    Raises UsageError for a wrong setting and for a folder that belongs to other data or settings,
    and what `train` raises.
    """
    from detect_tl.core.files import write_json
    from detect_tl.evaluation.benefit import FEWEST_SEEDS, measure_benefit
    from detect_tl.evaluation.plots import write_benefit

    if seeds < FEWEST_SEEDS:
        raise UsageError(
            f"seeds is {seeds}: one run of each side cannot show how much chance there is",
            hint=f"Take {FEWEST_SEEDS} or more; {SEEDS} is usual.",
        )
    show, folder = progress or Silent(), Path(out)
    asked = _parse(data, strategy, settings)
    common = _common(folder, asked, show)
    pairs = _train_all(folder, common, range(asked.seed, asked.seed + seeds), show)
    transfer, scratch = zip(*((_course(a), _course(b)) for a, b in pairs), strict=True)
    measured = measure_benefit(transfer, scratch)
    task: Task = "segment" if pairs[0][0].config().task == "segment" else "detect"
    result = BenefitResult(folder, asked.data, task, asked.weights, common.strategy, measured)
    write_benefit(measured, result.metric, result.picture)
    write_json(result.figures, result.as_json())
    return result


def _parse(data: str | Path, strategy: str, settings: dict[str, Any]) -> TrainConfig:
    """The settings of a run by transfer, as they were asked for."""
    from detect_tl.training.config import TrainConfig
    from detect_tl.transfer.strategies import AUTO, load_strategy

    for name in sorted(DECIDED.keys() & settings):
        raise UsageError(
            f"{name} cannot be set: all runs are measured at the start, take all their epochs and"
            " learn from labels alone",
            hint=f"Leave out {name}.",
        )
    given = {"data": data, "strategy": strategy, "epochs": EPOCHS, **settings}
    config = TrainConfig.parse(given)
    if config.epochs == 0:
        raise UsageError(
            "without epochs there is no course to compare", hint="Take --epochs 1 or more."
        )
    if config.strategy != AUTO and load_strategy(config.strategy).random:
        raise UsageError(
            f"the strategy {config.strategy!r} starts from random numbers: it transfers nothing",
            hint="Choose another --strategy, or leave it out; scratch is the other side anyway.",
        )
    return config


def _common(folder: Path, asked: TrainConfig, progress: Progress) -> TrainConfig:
    """What all runs by transfer share, with data that is prepared and a strategy that has a name.

    It is written down when the folder is made; a folder that was made for something else is
    refused.
    """
    from detect_tl.core.files import read_json

    path = folder / SETTINGS
    if not path.is_file():
        _make(folder, asked, progress)
    written = read_json(path)
    try:
        refuse_other_settings(folder, written, _described(asked))
        data, strategy = folder / written["dataset"], written["chosen_strategy"]
        same = written["annotations"] == fingerprint(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            "does not say what the runs beside it were made of",
            path=path,
            hint="It was changed by hand; name another --out.",
        ) from error
    if not same:
        raise UsageError(
            f"the annotations of {data} have changed since the first run in {folder}",
            hint="Name another --out, to measure all runs on the same data.",
        )
    return on_folder(data, asked).model_copy(update={**DECIDED, "strategy": strategy})


def _make(folder: Path, asked: TrainConfig, progress: Progress) -> None:
    """Write the folder with its settings and, of raw annotations, the one split that all runs use.

    Everything that `train` would refuse is refused before the folder appears.
    """
    from detect_tl.core.files import atomic_folder, write_json
    from detect_tl.training.augmentation import chosen_augmentation
    from detect_tl.training.beginning import check_device, plan_only
    from detect_tl.training.data import place_dataset

    check_device(asked.device)
    chosen_augmentation(asked.augment)
    with atomic_folder(folder) as scratch:
        dataset, recorded = place_dataset(asked, scratch, progress)
        plan = plan_only(on_folder(dataset, asked), progress)
        document = {
            **_described(asked),
            "dataset": recorded,
            "annotations": fingerprint(dataset),
            "chosen_strategy": plan.strategy.name,
            "reasons": list(plan.reasons),
        }
        write_json(scratch / SETTINGS, document)
    progress.say(plan.summary()[0])


def _described(asked: TrainConfig) -> dict[str, Any]:
    """What must be the same for runs to be compared. The number of seeds may grow."""
    settings = asked.model_dump(mode="json", exclude={"data", "out", *DECIDED})
    return {"data": str(asked.data.resolve()), "settings": settings}


def _train_all(
    folder: Path, common: TrainConfig, seeds: range, progress: Progress
) -> list[tuple[RunFolder, RunFolder]]:
    """For every seed, the finished runs by transfer and from scratch."""
    pairs = []
    for number, seed in enumerate(seeds, start=1):
        progress.say(f"seed {seed} ({number} of {len(seeds)}): by transfer, then from scratch")
        by_transfer, from_scratch = _pair(folder, common, seed)
        pairs.append((finished(by_transfer, progress), finished(from_scratch, progress)))
    return pairs


def _pair(folder: Path, common: TrainConfig, seed: int) -> tuple[TrainConfig, TrainConfig]:
    """The two runs of a seed. From scratch there is nothing to keep, or to be pulled back to."""
    runs = folder / "runs"
    transfer = {"seed": seed, "out": runs / f"transfer-{seed}"}
    scratch = {
        "seed": seed,
        "out": runs / f"scratch-{seed}",
        "freeze": None,
        "l2_sp": 0.0,
        "soup": None,
    }
    return (
        common.model_copy(update=transfer),
        common.model_copy(update={**scratch, "strategy": "scratch"}),
    )


def _course(run: RunFolder) -> Course:
    from detect_tl.evaluation.course import course_of
    from detect_tl.evaluation.plots import read_curves
    from detect_tl.training.callbacks import FITNESS_KEYS

    config = run.config()
    column = FITNESS_KEYS[config.task]
    return course_of(read_curves(run.metrics), column, seed=config.seed, path=run.metrics)
