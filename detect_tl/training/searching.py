"""A search in this process: Optuna suggests, trials run one after another.

Nothing of Optuna is stored. Its sampler is seeded, so the trials that have ended are told again, in
their order, and it comes to where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import DataError
from detect_tl.core.progress import BarsOnly, Progress
from detect_tl.training.trials import REDUCTION, Rungs, Search, TrialRecord, carry_out
from detect_tl.transfer.space import Settings

if TYPE_CHECKING:
    import optuna

# Trials that are drawn by chance before the sampler learns from them: half of its own default, as
# few can be afforded.
_BY_CHANCE = 5
# Draws that repeat what was tried, after which there is taken to be nothing new.
_ATTEMPTS = 50

Ended = Callable[[TrialRecord], None]
"""Is told of every trial that has ended."""


def search_here(search: Search, progress: Progress, ended: Ended) -> None:
    """Carry out the trials that are missing, one after another.

    Raises DataError when a trial that is there is not the one that this search would have made.
    """
    studied, began = Studied(search), search.began()
    for number in range(search.trials):
        record = search.record(number)
        if record is None and number and search.over(began):
            break
        found = studied.ask(number)
        if found is None:
            progress.say(f"nothing new is left to try after {number} trials")
            break
        asked, settings = found
        judge = Judge(asked, search.rungs)
        if record is not None:
            _tell_again(search, record, settings, judge)
        else:
            progress.say(f"trial {number} of {search.trials}: {described(settings)}")
            quiet = BarsOnly(progress)
            record = carry_out(search, number, settings, judge, progress=quiet, began=began)
            ended(record)
        studied.tell(asked, record)


class Studied:
    """What Optuna knows of a search. No settings are tried twice: the result would be the same."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._study = _study(search)
        self._seen: list[Settings] = []

    def ask(
        self, number: int, known: Settings | None = None
    ) -> tuple[optuna.trial.Trial, Settings] | None:
        """The trial of this number, and its settings; None when nothing new comes to mind.

        The first is the training by default. known: the settings that another was given before.
        """
        from optuna.trial import TrialState

        space = self._search.space
        if number == 0 or known is not None:
            told = known if number and known is not None else self._search.default
            self._study.enqueue_trial(told)
            asked = self._study.ask()
            space.choose(asked, told)
            self._seen.append(known or {})
            return asked, known or {}
        for _ in range(_ATTEMPTS):
            asked = self._study.ask()
            settings = space.suggest(asked)
            if settings not in self._seen:
                self._seen.append(settings)
                return asked, settings
            self._study.tell(asked, state=TrialState.FAIL)
        return None

    def tell(self, asked: optuna.trial.Trial, record: TrialRecord) -> None:
        """How a trial has ended."""
        from optuna.trial import TrialState

        if record.ending == "complete":
            self._study.tell(asked, record.best)
        else:
            stopped = record.ending == "stopped"
            self._study.tell(asked, state=TrialState.PRUNED if stopped else TrialState.FAIL)


def described(settings: Settings) -> str:
    """The settings of a trial in words."""
    shown = (f"{name} {value}" for name, value in settings.items())
    return ", ".join(shown) or "the default"


@dataclass(frozen=True, slots=True)
class Judge:
    """Asynchronous successive halving (Li et al. 2020): at a rung, the best third goes on."""

    asked: optuna.trial.Trial
    rungs: Rungs

    def __call__(self, epoch: int, value: float) -> bool:
        self.asked.report(value, epoch)
        return not (epoch < self.rungs.epochs and self.asked.should_prune())


def _study(search: Search) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rungs = search.rungs
    pruner: Any = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=rungs.first, reduction_factor=REDUCTION, min_early_stopping_rate=0
    )
    # Tree-structured Parzen estimators (Bergstra et al. 2011)
    sampler = optuna.samplers.TPESampler(seed=search.common.seed, n_startup_trials=_BY_CHANCE)
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)


def _tell_again(search: Search, record: TrialRecord, settings: Settings, judge: Judge) -> None:
    if record.settings != settings:
        raise DataError(
            f"holds a trial of {described(record.settings)}, and this search would have tried"
            f" {described(settings)}: it was made by another version, or changed by hand",
            path=search.run(record.number).path,
            hint="Name another --out, to begin anew.",
        )
    for epoch, value in enumerate(record.values, start=1):
        judge(epoch, value)
