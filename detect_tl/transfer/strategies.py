"""Strategies of transfer: what trains when, and how fast, as values.

A strategy is a list of stages. Built-in ones come in through the same door as those of others, the
entry points `detect_tl.strategies`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

from detect_tl import plugins
from detect_tl.core.errors import UsageError
from detect_tl.core.words import counted
from detect_tl.transfer.freeze import FreezeSpec, frozen_layers

AUTO = "auto"

_MOST_GROWING = 3
"""Epochs of a stage in which pictures may begin small: those of which each has a view of its own.

Where views come again nothing was gained (mAP50-95 on val, grown and not; 320 pixels, a seventh
less time): 20 epochs of the starter on the sample in batches of 16 .686, .696 and .706, .705 (two
seeds), in small ones .713, .716, .725 and .711, .713, .725; 8 of BCCD .597, .592 and .600, .597."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a run in which the same layers train.

    name: in words. freeze: what stays as it was, as `frozen_layers` reads it.
    share: of the epochs of the run; the shares of all stages add up to 1.
    lr: learning rate of the head at the beginning, against the base rate of the run.
    first_lr: rate of the first layer against that of the head; layers between lie between, by equal
        factors (discriminative fine-tuning, Howard and Ruder 2018).
    last_lr: the rate at the end of the stage, against that at its beginning.
    cached: whether the frozen layers see every picture in a few views only, and their answers are
        kept, instead of being computed anew for every picture in every epoch.
    first_size: side of the pictures at the beginning, against that at the end, which is the one
        they have in use. Small pictures teach sooner what is coarse (progressive resizing, Howard
        2018), and cost less by the square.
    """

    name: str
    freeze: FreezeSpec
    share: float = 1.0
    lr: float = 1.0
    first_lr: float = 1.0
    last_lr: float = 0.01
    cached: bool = False
    first_size: float = 1.0


@dataclass(frozen=True, slots=True)
class Strategy:
    """What trains when. random: whether the model starts from random numbers, as a control."""

    name: str
    description: str
    stages: tuple[Stage, ...]
    random: bool = False


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage with its place in a run: epochs `start` up to, not including, `stop`, from 0.

    layers: the frozen ones. round: which of the trainings that are averaged this belongs to, from
    0. until: the epoch at which that one is over.
    """

    stage: Stage
    layers: tuple[int, ...]
    start: int
    stop: int
    round: int = 0
    until: int = 0

    @property
    def epochs(self) -> int:
        return self.stop - self.start

    def rate(self, done: float, depth: float) -> float:
        """Learning rate against the base rate of the run.

        done: share of the stage that is over, 0 to 1. depth: 0 for the head, 1 for the first layer.
        """
        fall = 1 - done * (1 - self.stage.last_lr)
        return float(self.stage.lr * self.stage.first_lr**depth * fall)

    def size(self, number: int, count: int) -> float:
        """Side of the pictures against that in use, in an epoch or a view of this stage.

        number: of `count` of them, from 0.
        """
        first = self.stage.first_size
        return first + (1 - first) * number / (count - 1) if count > 1 else 1.0

    def as_json(self) -> dict[str, Any]:
        stage = self.stage
        return {
            "name": stage.name,
            "round": self.round + 1,
            "epochs": [self.start + 1, self.stop],
            "frozen": list(self.layers),
            "lr": stage.lr,
            "first_lr": stage.first_lr,
            "last_lr": stage.last_lr,
            "cached": stage.cached,
            "first_size": stage.first_size,
        }


HEAD = Strategy(
    "head",
    "new layers only, on kept features of everything before them",
    (Stage(name="head", freeze="neck", lr=2.0, cached=True),),
)
# Three epochs at 640 pixels, with pictures that grow from .7 of that and without: BCCD .585, .593
# and .585, .595 (two seeds), number plates .613 and .617, cells of Roboflow .737 and .724, masks of
# balloons .426 and .430, in a fifth less time. From .5 BCCD fell to .561 and .546. `gradual`, grown
# in all of its stages (12 epochs), reached .627 in 1017 s, and .634 in 1188 s as it is.
FREEZE = Strategy(
    "freeze",
    "neck and head, on kept features of the frozen backbone",
    (Stage(name="neck and head", freeze="backbone", lr=2.0, cached=True, first_size=0.7),),
)
LP_FT = Strategy(
    "lp-ft",
    "first neck and head on kept features, then everything at a lower rate (Kumar et al. 2022)",
    (
        Stage(name="neck and head", freeze="backbone", share=0.4, lr=2.0, last_lr=0.3, cached=True),
        Stage(name="everything", freeze="none", share=0.6, lr=1.0, first_lr=0.3),
    ),
)
# Layers 0 to 4 of YOLOv8, YOLO11 and YOLO26 lead up to the finest maps (stride 8). They see edges
# and textures, which transfer best (Yosinski et al. 2014), and cost as much as all that follows.
_FIRST = 5
_BUT_FIRST = "all but the first layers"
PARTIAL = Strategy(
    "partial",
    "first neck and head, then all but the first five layers, all of it on kept features",
    (
        Stage(
            name="neck and head", freeze="backbone", share=0.15, lr=2.0, last_lr=0.5, cached=True
        ),
        Stage(
            name=_BUT_FIRST,
            freeze=_FIRST,
            share=0.85,
            lr=1.5,
            first_lr=0.3,
            cached=True,
        ),
    ),
)
# At twice these rates runs ended lower (mAP50-95 on val, two seeds each): number plates after 14
# epochs at .638 against .651, BCCD after 22 at .634 against .636 (640 pixels); at 192 pixels
# balloons at .273 against .295 (masks), and cells of Roboflow at .779 both ways.
GRADUAL = Strategy(
    "gradual",
    "from the head down: first on kept features, as partial, then everything",
    (
        Stage(
            name="neck and head", freeze="backbone", share=0.12, lr=1.0, last_lr=0.5, cached=True
        ),
        Stage(
            name=_BUT_FIRST,
            freeze=_FIRST,
            share=0.53,
            lr=0.75,
            first_lr=0.3,
            last_lr=0.4,
            cached=True,
        ),
        Stage(name="everything", freeze="none", share=0.35, lr=0.3, first_lr=0.5),
    ),
)
FULL = Strategy(
    "full", "everything from the first epoch on", (Stage(name="everything", freeze="none"),)
)
SCRATCH = Strategy(
    "scratch",
    "everything from random numbers: what training is without transfer",
    (Stage(name="everything", freeze="none"),),
    random=True,
)


def strategy_names() -> list[str]:
    """Names of all strategies on offer, sorted, without `auto`; nothing is imported."""
    return plugins.names("detect_tl.strategies")


def load_strategy(name: str) -> Strategy:
    """Load one strategy by name; raise UsageError with a suggestion when there is none."""
    return plugins.load_as("detect_tl.strategies", name, Strategy)


def keeping(strategy: Strategy, freeze: FreezeSpec) -> Strategy:
    """The strategy with `freeze` frozen in all of its stages.

    Raises UsageError for one that trains in several stages: it freezes by itself.
    """
    if len(strategy.stages) != 1:
        raise UsageError(
            f"the strategy {strategy.name!r} says by itself what is frozen when",
            hint="Leave out --freeze, or choose --strategy freeze.",
        )
    return replace(strategy, stages=(replace(strategy.stages[0], freeze=freeze),))


def sharing(strategy: Strategy) -> Strategy:
    """The strategy where first layers must stay, for two models to share them: if a stage would
    train all layers, it trains all but the first five.

    Raises UsageError for one that does not begin with what the weights know.
    """
    if strategy.random:
        raise UsageError(
            f"the strategy {strategy.name!r} begins with random numbers, so it shares no layer with"
            " the weights whose classes are kept",
            hint="Leave out --strategy, or --keep-classes.",
        )
    return replace(strategy, stages=tuple(map(_but_first, strategy.stages)))


def _but_first(stage: Stage) -> Stage:
    freed = stage.freeze in (None, "none", 0)
    return replace(stage, name=_BUT_FIRST, freeze=_FIRST) if freed else stage


def shared_layers(frozen: Iterable[Collection[int]]) -> int:
    """How many layers, from the first one on, no stage trains. frozen: the layers of every one."""
    return min((next(n for n in count() if n not in layers) for layers in frozen), default=0)


def plan_stages(
    strategy: Strategy,
    epochs: int,
    architecture: Mapping[str, Any],
    *,
    growing: bool = True,
    rounds: int = 1,
) -> tuple[PlannedStage, ...]:
    """Give every stage its epochs and its layers.

    A round too short for all stages leaves out the first ones. growing: whether pictures may begin
    smaller than they end, in stages of few epochs. rounds: how often all of it is done, each time
    from the same start, in equal shares of the epochs.

    Raises UsageError for stages that freeze what the model does not have, and for rounds that
    cannot be averaged.
    """
    if rounds > 1:
        _check_rounds(strategy, epochs, rounds)
    limits = [epochs * number // rounds for number in range(rounds + 1)]
    planned: list[PlannedStage] = []
    for number, (start, until) in enumerate(pairwise(limits)):
        found = _plan_round(strategy, until - start, architecture, growing=growing)
        planned += [
            replace(p, start=start + p.start, stop=start + p.stop, round=number, until=until)
            for p in found
        ]
    return tuple(planned)


def _check_rounds(strategy: Strategy, epochs: int, rounds: int) -> None:
    if strategy.random:
        raise UsageError(
            f"the strategy {strategy.name!r} begins with random numbers; the average of two"
            " trainings from there is worth nothing",
            hint="Leave out --soup, or --strategy.",
        )
    if rounds > epochs:
        raise UsageError(
            f"{counted(epochs, 'epoch')} cannot be shared by a soup of {rounds} trainings",
            hint=f"Ask for --epochs {rounds} or more, or for a smaller --soup.",
        )


def _plan_round(
    strategy: Strategy, epochs: int, architecture: Mapping[str, Any], *, growing: bool
) -> tuple[PlannedStage, ...]:
    stages = strategy.stages[-epochs:]
    total = sum(stage.share for stage in stages)
    planned: list[PlannedStage] = []
    start, shares = 0, 0.0
    for place, stage in enumerate(stages):
        shares += stage.share
        left = len(stages) - place - 1
        stop = min(max(round(epochs * shares / total), start + 1), epochs - left)
        layers = frozen_layers(stage.freeze, architecture).layers
        grows = growing and stop - start <= _MOST_GROWING
        kept = stage if grows else replace(stage, first_size=1.0)
        planned.append(PlannedStage(kept, layers, start, stop))
        start = stop
    return tuple(planned)


def stage_at(stages: Sequence[PlannedStage], epoch: int) -> PlannedStage:
    """The stage of an epoch, from 0; the last one beyond the end."""
    return next((planned for planned in stages if epoch < planned.stop), stages[-1])


def trains_from(stages: Sequence[PlannedStage]) -> dict[int, int | None]:
    """For every layer that is frozen at first, the first epoch in which it trains; None: never."""
    found: dict[int, int | None] = {}
    for layer in stages[0].layers:
        later = (planned.start for planned in stages if layer not in planned.layers)
        found[layer] = next(later, None)
    return found
