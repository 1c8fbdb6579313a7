"""The folder of a search: made once, with the data that all trials share, and opened again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.series import fingerprint, on_folder, refuse_other_settings
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.plan import TrainingPlan
    from detect_tl.training.trials import Search
    from detect_tl.transfer.space import Space

SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What `tune` was asked for, see there."""

    data: str | Path
    space: str | Path | None
    first_rung: int | None
    trials: int
    minutes: float | None
    settings: Mapping[str, Any]


def open_search(folder: Path, asked: Asked, engine: str, progress: Progress) -> Search:
    """The search in `folder`, which is made when it is not there yet.

    Raises UsageError for a folder that was made for something else.
    """
    from detect_tl.core.files import read_json
    from detect_tl.transfer.space import space_from_json

    config, path = _parse(asked), folder / SETTINGS
    described = _described(config, asked, engine)
    if not path.is_file():
        _make(folder, config, asked, described, progress)
    written = read_json(path)
    try:
        refuse_other_settings(folder, written, described)
        data, strategy = folder / written["dataset"], config.strategy
        same = written["annotations"] == fingerprint(data)
        space = space_from_json(written["space"], strategy, path)
        default = written["default"]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            "does not say what the trials beside it are of",
            path=path,
            hint="It was changed by hand; name another --out.",
        ) from error
    if not same:
        raise UsageError(
            f"the annotations of {data} have changed since the first trial in {folder}",
            hint="Name another --out, to train all trials on the same data.",
        )
    common = on_folder(data, config).model_copy(update={"split": None})
    return replace(_search(folder, common, space, asked), default=default)


def plan_search(asked: Asked, progress: Progress) -> tuple[Search, TrainingPlan]:
    """The search that would be made, and the training by default; nothing is written."""
    from detect_tl.training.beginning import plan_only

    config = _parse(asked)
    plan = plan_only(config, progress)
    space = _space(config, asked, plan.batch)
    search = _search(Path(), config, space, asked)
    _refuse_wrong_values(search)
    return search, plan


def _search(folder: Path, common: TrainConfig, space: Space, asked: Asked) -> Search:
    from detect_tl.training.trials import Rungs, Search

    if asked.trials < 1:
        raise UsageError(f"{asked.trials} trials try nothing", hint="Take 2 or more.")
    first = asked.first_rung
    if first is not None and not 1 <= first <= common.epochs:
        raise UsageError(
            f"no trial can be stopped after epoch {first}: there are {common.epochs}",
            hint="Name an epoch of the training, or leave it out.",
        )
    rungs = Rungs.of(common.epochs, first)
    return Search(folder, common, space, rungs, asked.trials, asked.minutes)


def _parse(asked: Asked) -> TrainConfig:
    from detect_tl.training.config import TrainConfig

    config = TrainConfig.parse({"data": asked.data, **asked.settings})
    if config.epochs == 0:
        raise UsageError("without epochs there is nothing to tune", hint="Take --epochs 2 or more.")
    _space(config, asked, 1)  # a file that is wrong is told before data is read
    return config


def _space(config: TrainConfig, asked: Asked, batch: int) -> Space:
    from detect_tl.transfer.space import SEARCHABLE, read_space, usual_space

    given = {name: value for name, value in asked.settings.items() if name in SEARCHABLE}
    if asked.space is not None:
        return read_space(Path(asked.space), given, config.strategy)
    return usual_space(batch, given)


def _described(config: TrainConfig, asked: Asked, engine: str) -> dict[str, Any]:
    """What must be the same for trials to be compared; their number and the time may grow."""
    from detect_tl.core.yaml_files import read_yaml
    from detect_tl.transfer.space import SEARCHABLE

    space = asked.space
    own = {
        "given": sorted(set(SEARCHABLE) & set(asked.settings)),
        "space": None if space is None else read_yaml(Path(space)),
        "first_rung": asked.first_rung,
        "engine": engine,
    }
    settings = config.model_dump(mode="json", exclude={"data", "out"})
    return {"data": str(config.data.resolve()), "settings": {**settings, **own}}


def _make(
    folder: Path,
    config: TrainConfig,
    asked: Asked,
    described: Mapping[str, Any],
    progress: Progress,
) -> None:
    """Write the folder with its settings and, of raw annotations, the data set of all trials.

    Everything that `train` would refuse is refused before the folder appears.
    """
    from detect_tl.core.files import atomic_folder, write_json
    from detect_tl.training.augmentation import chosen_augmentation
    from detect_tl.training.beginning import check_device, plan_only
    from detect_tl.training.data import place_dataset

    check_device(config.device)
    chosen_augmentation(config.augment)
    with atomic_folder(folder) as scratch:
        placed, recorded = place_dataset(config, scratch, progress, keep=_kept(config, progress))
        common = on_folder(placed, config)
        plan = plan_only(common, progress)
        space = _space(config, asked, plan.batch)
        search = _search(folder, common, space, asked)
        _refuse_wrong_values(search)
        write_json(
            scratch / SETTINGS,
            {
                **described,
                "dataset": recorded,
                "annotations": fingerprint(placed),
                "space": space.as_json(),
                "default": space.holds(_by_default(common, plan)),
            },
        )


def _kept(config: TrainConfig, progress: Progress) -> tuple[str, ...]:
    """Classes of the weights that the data set must know, for the model to go on knowing them."""
    from detect_tl.models.checkpoint import load_checkpoint
    from detect_tl.training.keeping import kept_classes
    from detect_tl.transfer.fetch import locate

    if not config.keep_classes:
        return ()
    located = locate(config.weights, trust=config.trust, progress=progress)
    return kept_classes(config, load_checkpoint(located.path, trust=config.trust).names)


def _by_default(config: TrainConfig, plan: TrainingPlan) -> dict[str, Any]:
    """What the default comes to, for whoever suggests to learn from the first trial."""
    name = plan.strategy.name
    found = config.model_dump() | {"strategy": name, "batch": plan.batch}
    if name == "freeze" and config.freeze is None:
        found["freeze"] = "backbone"
    return found


def _refuse_wrong_values(search: Search) -> None:
    """Raise UsageError for a space with a value that no training could have."""
    from detect_tl.training.augmentation import chosen_augmentation
    from detect_tl.training.beginning import plan_only
    from detect_tl.transfer.freeze import NAMES
    from detect_tl.transfer.strategies import AUTO, load_strategy

    for name, axis in search.space.axes.items():
        for value in axis.limits:
            search.config(0, {name: value})
            if name == "augment":
                chosen_augmentation(str(value))
            if name == "strategy" and value != AUTO:
                load_strategy(str(value))
            if name == "freeze" and value not in NAMES:
                plan_only(search.config(0, {name: value, "strategy": "freeze"}))
