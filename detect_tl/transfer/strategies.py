"""Strategies of transfer: what trains when, and how fast, as values.

A strategy is a list of stages. Built-in ones come in through the same door as those of others, the
entry points `detect_tl.strategies`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from detect_tl import plugins
from detect_tl.core.errors import UsageError
from detect_tl.transfer.freeze import FreezeSpec

AUTO = "auto"


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
