"""A detector from a handful of examples, without training; and how far a handful goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.series import fingerprint, finished, on_folder, refuse_other_settings
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.api.training import TrainResult
    from detect_tl.evaluation.shots import Study, Trial
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.folder import RunFolder

SEEDS = 3
AGAINST = 10

SETTINGS = "settings.json"
_RESULT, _PICTURE = "oneshot.json", "oneshot.png"

# What can be set of a run that does not train.
OWN = frozenset(
    """
    weights task imgsz kin seed device trust from_format annotations columns follow_links split out
    """.split()
)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What was measured, and where everything is. strategy: of the runs that were trained."""

    folder: Path
    data: Path
    weights: str
    strategy: str
    study: Study

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
            "weights": self.weights,
            "strategy": self.strategy,
            "metric": "mAP50-95",
            **self.study.as_json(),
        }


def oneshot(
    data: str | Path,
    *,
    out: str | Path = "runs/oneshot",
    progress: Progress | None = None,
    **settings: Any,
) -> TrainResult:
    """Write a run that detects the classes of `data` without any training, in seconds.

    Rows of classes that the weights know by name are taken from them; those of new ones are
    computed from their training objects. Boxes are found as the weights find them, so this is the
    better the more the objects look like what the weights were trained on.

    settings: weights, task, imgsz, kin, seed, device, trust, and how `data` is read, as for
    `train`. Raises what `train` raises.
    """
    from detect_tl.api.training import train

    return train(data, **_parse(out, settings), progress=progress)


def oneshot_study(
    data: str | Path,
    *,
    shots: Sequence[int],
    seeds: int = SEEDS,
    against: int = AGAINST,
    strategy: str = "freeze",
    out: str | Path = "runs/oneshot",
    progress: Progress | None = None,
    **settings: Any,
) -> StudyResult:
    """Measure what so many pictures of each class give without training, and with it.

    For every number of `shots` and every seed, pictures of the train split are drawn; from the same
    ones a model is imprinted, and another trained for `against` epochs by `strategy`. Both are
    measured on the whole val split; of the trained one its best epoch there counts, which flatters
    it a little. Runs lie below `out`, and the same call goes on where an interrupted one ended.

    settings: as for `oneshot`; seed: of the first draw.

    Raises UsageError for a wrong setting and for a folder that belongs to other data or settings,
    and what `train` raises.
    """
    from detect_tl.core.files import write_json
    from detect_tl.evaluation.plots import write_study
    from detect_tl.evaluation.shots import Shots, Study

    check_study(shots, seeds, against)
    show, folder = progress or Silent(), Path(out)
    common = _common(folder, configured(data, strategy, against, out, settings), show)
    draws = range(common.seed, common.seed + seeds)
    rows = tuple(
        Shots(count, tuple(_trial(folder, common, count, seed, show) for seed in draws))
        for count in sorted(set(shots))
    )
    study = Study(against, rows)
    result = StudyResult(folder, Path(data), common.weights, common.strategy, study)
    write_study(study, "mAP50-95", result.picture)
    write_json(result.figures, result.as_json())
    return result


def check_study(shots: Sequence[int], seeds: int, against: int) -> None:
    """Raise UsageError for a study that would measure nothing."""
    from detect_tl.evaluation.shots import FEWEST_SEEDS

    if not shots or min(shots) < 1 or against < 1 or seeds < FEWEST_SEEDS:
        raise UsageError(
            f"shots {list(shots)}, {seeds} seeds and {against} epochs measure nothing",
            hint=f"Take 1 shot or more, {FEWEST_SEEDS} seeds or more, and 1 epoch or more.",
        )


def _parse(out: str | Path, settings: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run without training; raise UsageError for those that only trains have."""
    from detect_tl.training.config import TrainConfig

    for name in sorted(settings.keys() - OWN):
        if name in TrainConfig.model_fields:
            raise UsageError(
                f"{name} cannot be set: nothing is trained",
                hint=f"Leave out {name}, or use `detect-tl train`.",
            )
    return {**settings, "out": out, "epochs": 0}


def configured(
    data: str | Path, strategy: str, epochs: int, out: str | Path, settings: dict[str, Any]
) -> TrainConfig:
    """The configuration of a run that trains for `epochs`, of which 0 are none; raise UsageError
    for settings that one without training does not have."""
    from detect_tl.training.config import TrainConfig
    from detect_tl.transfer.strategies import load_strategy

    load_strategy(strategy)
    given = {**_parse(out, settings), "strategy": strategy, "epochs": epochs}
    return TrainConfig.parse({**given, "data": data})


def _common(folder: Path, asked: TrainConfig, progress: Progress) -> TrainConfig:
    """What all trained runs share, on one prepared data set; a folder of other runs is refused."""
    from detect_tl.core.files import atomic_folder, read_json, write_json
    from detect_tl.training.beginning import check_device, plan_only
    from detect_tl.training.data import place_dataset

    settings = asked.model_dump(mode="json", exclude={"data", "out"})
    now = {"data": str(asked.data.resolve()), "settings": settings}
    path = folder / SETTINGS
    if not path.is_file():
        check_device(asked.device)
        with atomic_folder(folder) as scratch:
            dataset, recorded = place_dataset(asked, scratch, progress)
            plan_only(on_folder(dataset, asked), progress)  # refuses what cannot be trained
            made = {"dataset": recorded, "annotations": fingerprint(dataset)}
            write_json(scratch / SETTINGS, {**now, **made})
    written = read_json(path)
    try:
        refuse_other_settings(folder, written, now)
        data = folder / written["dataset"]
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
    return on_folder(data, asked)


def _trial(folder: Path, common: TrainConfig, shots: int, seed: int, progress: Progress) -> Trial:
    """Imprint and train on one draw."""
    from detect_tl.evaluation.shots import Trial
    from detect_tl.training.plan import IMPRINT

    name = f"{shots}-{seed}"
    progress.say(f"{shots} of each class, seed {seed}: imprinted, then trained")
    data, images = _drawn(folder / "data" / name, common, shots, seed)
    own = common.model_copy(update={"data": data, "seed": seed})
    nothing = {"epochs": 0, "strategy": IMPRINT.name, "out": folder / "runs" / f"imprinted-{name}"}
    imprinted = finished(own.model_copy(update=nothing), progress)
    task, out = imprinted.config().task, folder / "runs" / f"trained-{name}"
    tuned = finished(own.model_copy(update={"task": task, "out": out}), progress)
    return Trial(
        seed,
        images,
        *(_score(run, common.device, progress) for run in (imprinted, tuned)),
        *(_seconds(run) for run in (imprinted, tuned)),
    )


def _drawn(folder: Path, common: TrainConfig, shots: int, seed: int) -> tuple[Path, int]:
    """A dataset folder with the drawn pictures for training, and how many these are."""
    from detect_tl.core.files import read_json
    from detect_tl.curate.folder import Recipe, origin_of, write_folder
    from detect_tl.curate.shots import draw_shots
    from detect_tl.formats.detect import read_dataset
    from detect_tl.formats.prepared import PROVENANCE

    read = read_dataset(common.data)
    train = read.dataset.in_split("train")
    chosen = [train[k] for k in draw_shots(train, len(read.dataset.categories), shots, seed)]
    if not folder.exists():
        part = replace(read.dataset, samples=(*chosen, *read.dataset.in_split("val")))
        reason = f"{shots} of each class for training, drawn with seed {seed}"
        origin = origin_of(read, common.data, reason, {"shots": shots, "seed": seed})
        recipe = Recipe(link="soft", task=read_json(common.data / PROVENANCE)["task"])
        write_folder(part, folder, origin, read.report, recipe)
    return folder, len(chosen)


def _score(run: RunFolder, device: str, progress: Progress) -> float:
    """MAP50-95 of boxes on val; kept beside the run, so that it is measured once."""
    from detect_tl.api.evaluation import evaluate
    from detect_tl.core.files import read_json, write_json

    path = run.path / "metrics.json"
    if not path.is_file():
        measured = evaluate(run.path, device=device, analysis=False, progress=progress)
        write_json(path, measured.as_json())
    found: float | None = read_json(path)["box"]["mAP50-95"]
    if found is None:
        raise DataError("has no val objects to measure on", path=run.dataset())
    return found


def _seconds(run: RunFolder) -> float:
    from detect_tl.core.files import read_json

    seconds: float = read_json(run.cost)["seconds"]
    return seconds
