"""Which strategy a run follows, decided before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.errors import UsageError
from detect_tl.core.files import find_images
from detect_tl.core.words import counted
from detect_tl.training.config import TrainConfig
from detect_tl.transfer.choosing import Choice, Situation, choose, few_and_long
from detect_tl.transfer.classes import match_classes
from detect_tl.transfer.kin import read_kin
from detect_tl.transfer.stages import PlannedStage, plan_stages
from detect_tl.transfer.strategies import AUTO, Strategy, keeping, load_strategy, sharing

IMPRINT = Strategy(
    "imprint", "nothing trains: rows of new classes are computed from their objects", ()
)

_BATCHES = (16, 8, 4)
_STEPS = 24


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A strategy, why it was chosen, and its stages with their epochs.

    batch: images per step. rounds: trainings from the same start whose weights are averaged.
    """

    strategy: Strategy
    batch: int
    reasons: tuple[str, ...]
    stages: tuple[PlannedStage, ...]
    rounds: int = 1

    def summary(self) -> list[str]:
        """A line for the choice and one for each stage."""
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return [f"strategy {self.strategy.name}{why}", *map(_line, self.stages)]

    def as_json(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy.name,
            "description": self.strategy.description,
            "batch": self.batch,
            "reasons": list(self.reasons),
            "rounds": self.rounds,
            "stages": [planned.as_json() for planned in self.stages],
        }


def _line(planned: PlannedStage) -> str:
    stage = planned.stage
    first, last = planned.start + 1, planned.stop
    epochs = f"epoch {first}" if first == last else f"epochs {first}-{last}"
    count = len(planned.layers)
    frozen = f"{counted(count, 'layer')} frozen" if count else "nothing frozen"
    kept = ", their features kept" if stage.cached and count else ""
    rates = f"rate {stage.lr:g} falling to {stage.lr * stage.last_lr:g}"
    deep = f", {stage.first_lr:g} of it in the first layer" if stage.first_lr != 1 else ""
    small = f"; pictures grow from {stage.first_size:.0%}" if stage.first_size != 1 else ""
    return f"  {epochs}: {stage.name} ({frozen}{kept}; {rates}{deep}{small})"


def plan_training(
    config: TrainConfig,
    *,
    images: int,
    names: Sequence[str],
    source_names: Sequence[str],
    architecture: Mapping[str, Any],
    gpu: bool,
) -> TrainingPlan:
    """Decide what trains when.

    images: for training. names: the classes to learn. source_names: those of the weights.
    Raises UsageError for an unknown strategy, for layers that cannot be frozen, and for a strategy
    where there are no epochs to follow it in.
    """
    if config.epochs == 0:
        return _without_training(config, images)
    strategy, choice = _strategy(config, images, names, source_names, gpu=gpu)
    reasons = [choice.why] if choice.why else []
    rounds = config.soup or choice.rounds
    growing = not gpu and config.device != "mps"
    stages = plan_stages(strategy, config.epochs, architecture, growing=growing, rounds=rounds)
    if rounds > 1:
        reasons.append(f"{rounds} rounds from the same start, of which the weights are averaged")
    batch = config.batch or batch_for(images, config.epochs)
    if config.batch is None and batch < _BATCHES[0]:
        steps = -(-images // batch)
        reasons.append(f"batches of {batch}, so that {images} images make {steps} steps an epoch")
    return TrainingPlan(strategy, batch, tuple(reasons), stages, rounds)


def _without_training(config: TrainConfig, images: int) -> TrainingPlan:
    asked = config.strategy not in (AUTO, IMPRINT.name) or config.soup not in (None, 1)
    if asked or config.freeze is not None or config.teacher is not None:
        raise UsageError(
            "there are no epochs in which anything could train",
            hint="Leave out --strategy, --freeze, --soup and --teacher, or ask for --epochs.",
        )
    return TrainingPlan(IMPRINT, config.batch or batch_for(images, 0), (IMPRINT.description,), ())


def batch_for(images: int, epochs: int) -> int:
    """The largest usual batch that leaves enough steps in an epoch of so many images.

    On BCCD (205 images) three epochs at 8 or at 4 images a step reach what five reach at 16. In a
    long run of few images it is 16, see `few_and_long`.
    """
    if few_and_long(images, epochs):
        return _BATCHES[0]
    return next((n for n in _BATCHES if images >= n * _STEPS), _BATCHES[-1])


def strategy_of(config: TrainConfig) -> Strategy:
    """The strategy of a run whose configuration names it."""
    return _told(load_strategy(config.strategy), config)


def _told(strategy: Strategy, config: TrainConfig) -> Strategy:
    """A strategy with what the configuration says of layers that stay."""
    shared = sharing(strategy) if config.branches else strategy
    return shared if config.freeze is None else keeping(shared, config.freeze)


def choose_for(trainer: Any, source_names: Sequence[str]) -> Choice:
    """What `auto` is for a trainer of plain Ultralytics.

    source_names: classes of the weights.
    """
    names = list(trainer.data["names"].values())
    known = len(match_classes(source_names, names, read_kin(trainer.own.kin)).rows)
    images = _count_images(trainer.data["train"], Path(trainer.data["path"]))
    gpu = trainer.device.type == "cuda"
    return choose(Situation(images, len(names), known, gpu, trainer.epochs))


def _count_images(train: str | list[str], root: Path) -> int:
    """Images that a data.yaml names: by folders, and by files that list them."""
    count = 0
    for place in (root / each for each in ([train] if isinstance(train, str) else train)):
        if place.is_dir():
            count += len(find_images(place))
        else:
            count += sum(bool(line.strip()) for line in place.read_text("utf-8").split("\n"))
    return count


def _strategy(
    config: TrainConfig,
    images: int,
    names: Sequence[str],
    source_names: Sequence[str],
    *,
    gpu: bool,
) -> tuple[Strategy, Choice]:
    if config.freeze is not None:
        asked = "full" if config.freeze in ("none", 0) else "freeze"
        chosen = load_strategy(asked if config.strategy == AUTO else config.strategy)
        return _told(chosen, config), Choice(chosen.name, "what is frozen was asked for")
    if config.strategy != AUTO:
        return _told(load_strategy(config.strategy), config), Choice(config.strategy, "")
    known = len(match_classes(source_names, names, read_kin(config.kin)).rows)
    choice = choose(Situation(images, len(names), known, gpu, config.epochs))
    return _told(load_strategy(choice.strategy), config), choice
