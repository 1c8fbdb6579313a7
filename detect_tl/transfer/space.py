"""What a search over settings of a training may choose from, as a value.

Nothing here knows who searches: whoever does is asked for a choice or a number by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.yaml_files import read_yaml
from detect_tl.transfer.strategies import AUTO, load_strategy

Value: TypeAlias = str | int | float | bool | None
Settings: TypeAlias = dict[str, Value]

# What decides how well a training goes, and not on what: the data, its size and the start are the
# same for all trials, or they could not be compared.
SEARCHABLE = (
    "strategy",
    "freeze",
    "lr",
    "optimizer",
    "batch",
    "augment",
    "mosaic",
    "close_mosaic",
    "views",
    "refresh",
    "l2_sp",
    "imprint",
)
_WHOLE = frozenset({"batch", "close_mosaic", "views", "refresh"})
_DIGITS = 3  # of a drawn number: more would decide nothing, and make commands unreadable


class Suggests(Protocol):
    """Who searches: an Optuna trial, or something that draws."""

    @property
    def suggest_categorical(self) -> Callable[[str, Any], Any]: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]

    def suggest(self, trial: Suggests, name: str) -> Value:
        value: Value = trial.suggest_categorical(name, self.values)
        return value

    def holds(self, value: object) -> bool:
        return value in self.values

    @property
    def limits(self) -> tuple[Value, ...]:
        """Values that must be allowed for all to be allowed."""
        return self.values

    def as_json(self) -> Any:
        return list(self.values)

    def __str__(self) -> str:
        return ", ".join("as by default" if v is None else str(v) for v in self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included; log: equal factors are equally likely."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Suggests, name: str) -> Value:
        if self.whole:
            return int(trial.suggest_int(name, int(self.low), int(self.high), log=self.log))
        drawn = float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.{_DIGITS}g}")
        return min(max(drawn, self.low), self.high)

    def holds(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= float(value) <= self.high  # type: ignore[arg-type]

    @property
    def limits(self) -> tuple[Value, ...]:
        """Values that must be allowed for all to be allowed."""
        return self.low, self.high

    def as_json(self) -> Any:
        return {"low": self.low, "high": self.high, "log": self.log}

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', by factors' if self.log else ''}"


Axis: TypeAlias = Choice | Range


@dataclass(frozen=True, slots=True)
class Space:
    """Axes by the name of their setting.

    `freeze` is chosen only where the strategy is `freeze`, the others say by themselves what is
    frozen; `views` only where features are kept.
    strategy: that of trials for which none is chosen.
    """

    axes: Mapping[str, Axis]
    strategy: str = AUTO

    def suggest(self, trial: Suggests) -> Settings:
        """The settings of a trial, those of the axes that apply to it."""
        found: Settings = {}
        for name in sorted(self.axes, key=SEARCHABLE.index):
            if self._applies(name, str(found.get("strategy", self.strategy))):
                found[name] = self.axes[name].suggest(trial, name)
        return found

    def choose(self, trial: Suggests, settings: Mapping[str, Any]) -> None:
        """Let `trial` choose what is named in `settings`; where it must, it chooses these."""
        for name in sorted(self.axes.keys() & settings, key=SEARCHABLE.index):
            self.axes[name].suggest(trial, name)

    def _applies(self, name: str, strategy: str) -> bool:
        if name == "freeze":
            return strategy in ("freeze", AUTO)
        if name in ("views", "refresh") and strategy != AUTO:
            return any(stage.cached for stage in load_strategy(strategy).stages)
        return True

    def holds(self, settings: Mapping[str, object]) -> Settings:
        """The part of `settings` that lies in the space, as who searches can be told of it."""
        strategy = settings.get("strategy", self.strategy)
        return {
            name: settings[name]  # type: ignore[misc]
            for name, axis in self.axes.items()
            if name in settings
            and axis.holds(settings[name])
            and self._applies(name, str(strategy))
        }

    def as_json(self) -> dict[str, Any]:
        return {name: axis.as_json() for name, axis in self.axes.items()}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Name and meaning of each axis, for people."""
        where = {"freeze": " (where the strategy is freeze)", "views": " (where features are kept)"}
        several = "strategy" in self.axes
        for name, axis in self.axes.items():
            yield name, f"{axis}{where.get(name, '') if several else ''}"


def usual_space(batch: int, fixed: Mapping[str, Any]) -> Space:
    """What is searched where nobody says otherwise.

    batch: what a training takes by default. fixed: settings that were given; they are not searched,
    nor is what could have no effect beside them.
    """
    axes: dict[str, Axis] = {
        "strategy": Choice(("freeze", "partial", "gradual", "lp-ft", "full")),
        "freeze": Choice(("neck", "backbone", 5)),
        "lr": Range(2e-4, 5e-3, log=True),
        "batch": Choice(tuple(sorted({max(batch // 2, min(batch, 4)), batch, batch * 2}))),
        "augment": Choice(("ultralytics", "default", "light", "heavy", "none")),
        "mosaic": Choice((1.0, 0.5, 0.0)),
        "views": Range(2, 8, whole=True),
    }
    strategy = str(fixed.get("strategy", AUTO))
    without = set(fixed)
    if "freeze" in fixed:
        without |= {"strategy"}
    if "strategy" in fixed and strategy != "freeze":
        without |= {"freeze"}
    space = Space({k: v for k, v in axes.items() if k not in without}, strategy)
    idle = {"views"} if not space._applies("views", strategy) and "strategy" in without else set()
    return Space({k: v for k, v in space.axes.items() if k not in idle}, strategy)


def space_from_json(axes: Mapping[str, Any], strategy: str, path: Path) -> Space:
    """The space of `Space.as_json()`; path: where that was written, for errors."""
    return Space({name: _axis(name, value, path) for name, value in axes.items()}, strategy)


def read_space(path: Path, fixed: Mapping[str, Any], strategy: str = AUTO) -> Space:
    """Read a space from YAML: what is named there is searched, and nothing else.

    A list holds choices; `{low: 0.0001, high: 0.01}` is a range, `log: true` one by factors.
    fixed: settings that were given. strategy: of trials for which none is chosen.

    Raises UsageError for what is no space, naming the file and what is wrong in it.
    """
    given = read_yaml(path)
    if not isinstance(given, Mapping) or not given:
        raise UsageError(
            "names no settings to search",
            path=path,
            hint="Give each a list of choices, or a range: lr: {low: 0.0001, high: 0.01}",
        )
    axes = {str(name): _axis(str(name), value, path) for name, value in given.items()}
    for name in axes:
        if name in fixed:
            raise UsageError(
                f"{name} is searched here, and also given as {fixed[name]}",
                path=path,
                hint=f"Leave out one of the two: this axis, or --{name.replace('_', '-')}.",
            )
    if "freeze" in axes and not _freezes(axes, strategy):
        raise UsageError(
            "freeze can have no effect: no strategy that is tried leaves it open",
            path=path,
            hint="Name freeze among the strategies, or leave out freeze.",
        )
    return Space(axes, strategy)


def _freezes(axes: Mapping[str, Axis], strategy: str) -> bool:
    if "strategy" in axes:
        return any(axes["strategy"].holds(name) for name in ("freeze", AUTO))
    return strategy in ("freeze", AUTO)


def _axis(name: str, value: object, path: Path) -> Axis:
    if name not in SEARCHABLE:
        raise UsageError(
            f"{name!r} cannot be searched", path=path, hint=did_you_mean(name, SEARCHABLE)
        )
    if isinstance(value, Mapping):
        return _range(name, value, path)
    values: list[Any] = value if isinstance(value, list) else [value]
    plain = all(each is None or isinstance(each, str | int | float | bool) for each in values)
    if not plain or not values or len(set(values)) < len(values):
        raise UsageError(
            f"{name} is {value!r}: neither choices, each named once, nor a range",
            path=path,
            hint=f"Write {name}: [A, B], or {name}: {{low: 1, high: 2}}",
        )
    return Choice(tuple(values))


def _range(name: str, value: Mapping[Any, Any], path: Path) -> Range:
    known = ("low", "high", "log")
    for key in value:
        if key not in known:
            raise UsageError(
                f"unknown part {key!r} of the range of {name}",
                path=path,
                hint=did_you_mean(str(key), known),
            )
    low, high = (value.get(key) for key in ("low", "high"))
    numbers = [
        float(each)
        for each in (low, high)
        if isinstance(each, int | float) and not isinstance(each, bool)
    ]
    log = value.get("log", name == "lr")
    if len(numbers) < 2 or not numbers[0] < numbers[1] or (log and numbers[0] <= 0):
        raise UsageError(
            f"the range of {name} is {dict(value)}: it needs numbers, low below high"
            f"{' and above 0' if log else ''}",
            path=path,
            hint="YAML reads 1e-4 as text; write 0.0001 or 1.0e-4.",
        )
    whole = name in _WHOLE
    if whole and not all(number.is_integer() for number in numbers):
        raise UsageError(f"the range of {name} is of whole numbers", path=path)
    return Range(numbers[0], numbers[1], log=bool(log), whole=whole)
