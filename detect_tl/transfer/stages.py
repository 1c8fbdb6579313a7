"""The stages of a strategy laid over the epochs of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

from detect_tl.core.errors import UsageError
from detect_tl.core.words import counted
from detect_tl.transfer.freeze import frozen_layers
from detect_tl.transfer.strategies import Stage, Strategy

_MOST_GROWING = 3
"""Epochs of a stage in which pictures may begin small: those of which each has a view of its own.

Where views come again nothing was gained (mAP50-95 on val, grown and not; 320 pixels, a seventh
less time): 20 epochs of the starter on the sample in batches of 16 .686, .696 and .706, .705 (two
seeds), in small ones .713, .716, .725 and .711, .713, .725; 8 of BCCD .597, .592 and .600, .597."""


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


def shared_layers(frozen: Iterable[Collection[int]]) -> int:
    """How many layers, from the first one on, no stage trains. frozen: the layers of every one."""
    return min((next(n for n in count() if n not in layers) for layers in frozen), default=0)
