"""What Ray Tune asks for: who suggests, who stops, and who watches. Loaded with Ray only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import optuna
from ray.tune import Callback, Stopper
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import Searcher

from detect_tl.core.progress import Step
from detect_tl.scale.tune import BEGAN, EPOCH, REFUSED, VALUE, remember, suggested
from detect_tl.training.searching import Ended, Studied
from detect_tl.training.trials import REDUCTION, Search, TrialRecord, end_trial
from detect_tl.transfer.space import Settings


class Suggestions(Searcher):  # type: ignore[misc]  # Ray is not followed by the type checker
    """Suggests as a search in one process does, and first what was suggested before.

    Ray's own `OptunaSearch` cannot be told of trials that ended before it began when some settings
    depend on others.

    began: when the search did. cut: why it ends before its trials do, by a refusal or by Ctrl-C;
    None: it does not.
    """

    def __init__(self, search: Search, began: float, ended: Ended) -> None:
        super().__init__(metric=VALUE, mode="max")
        self.cut: BaseException | None = None
        self._search = search
        self.began = began
        self._ended = ended
        self._studied = Studied(search)
        self._settings = suggested(search)
        self._running: dict[str, _Running] = {}
        self._left = [number for number in sorted(self._settings) if search.record(number) is None]
        for record in search.records():
            found = self._studied.ask(record.number, record.settings)
            if found is not None:
                _Running(record.number, *found).end(self._studied, record)

    @property
    def missing(self) -> int:
        """Trials that have not ended."""
        return self._search.trials - len(self._search.records())

    def suggest(self, trial_id: str) -> Any:
        number = self._left.pop(0) if self._left else len(self._settings)
        known = self._settings.get(number)
        if known is None and number and self._search.over(self.began):
            return Searcher.FINISHED
        found = self._studied.ask(number, known)
        if found is None:
            return Searcher.FINISHED
        self._running[trial_id] = running = _Running(number, *found)
        if known is None:
            self._settings[number] = running.settings
            remember(self._search, self._settings)
        return {"number": number, "settings": running.settings}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if VALUE in result:
            self._running[trial_id].report(result[EPOCH], result[VALUE])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Write down how a trial has ended: one that did not end by itself was stopped."""
        running = self._running.pop(trial_id, None)
        told = result or {}
        if running is None or error or REFUSED in told or self.cut is not None:
            return
        number, settings = running.number, running.settings
        record = self._search.record(number)
        if record is None:
            began = told.get(BEGAN, time.time() - self.began)
            record = end_trial(self._search, number, settings, "stopped", began=began)
        running.end(self._studied, record)
        self._ended(record)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the folder of the search says all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the folder of the search says all."""


@dataclass
class _Running:
    """A trial that Optuna is told of."""

    number: int
    asked: optuna.trial.Trial
    settings: Settings
    told: int = 0

    def report(self, epoch: int, value: float) -> None:
        """Tell of an epoch, once: a trial that goes on after a loss tells of its first again."""
        if epoch > self.told:
            self.asked.report(value, epoch)
            self.told = epoch

    def end(self, studied: Studied, record: TrialRecord) -> None:
        for epoch, value in enumerate(record.values, start=1):
            self.report(epoch, value)
        studied.tell(self.asked, record)


class Halving(ASHAScheduler):  # type: ignore[misc]
    """Asynchronous successive halving that never stops the default, and knows earlier trials."""

    def __init__(self, search: Search) -> None:
        last = max(search.rungs.epochs - 1, search.rungs.first)  # the last epoch is no rung
        super().__init__(
            time_attr=EPOCH,
            metric=VALUE,
            mode="max",
            max_t=last,
            grace_period=search.rungs.first,
            reduction_factor=REDUCTION,
            stop_last_trials=False,
        )
        self._epochs = search.rungs.epochs
        for record in search.records():
            self._tell_again(record)

    def _tell_again(self, record: TrialRecord) -> None:
        trial = SimpleNamespace(trial_id=f"before-{record.number}")
        self.on_trial_add(None, trial)
        for epoch, value in enumerate(record.values, start=1):
            super().on_trial_result(None, trial, {EPOCH: epoch, VALUE: value})
        self.on_trial_remove(None, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> Any:
        if result.get(EPOCH, 0) >= self._epochs:
            return TrialScheduler.CONTINUE
        decision = super().on_trial_result(tune_controller, trial, result)
        return TrialScheduler.CONTINUE if trial.config["number"] == 0 else decision


class Watch(Callback):  # type: ignore[misc]
    """Shows how far the trials are, and ends all when one was refused: the others would be, too."""

    def __init__(self, suggestions: Suggestions, bar: Step) -> None:
        self._suggestions = suggestions
        self._bar = bar

    def on_trial_result(self, *_: Any, trials: Any, result: dict[str, Any], **others: Any) -> None:
        del others
        if REFUSED in result:
            self._suggestions.cut = result[REFUSED]
        running = sum(each.status == "RUNNING" for each in trials)
        self._bar.describe(f"trials · {running} running")

    def on_trial_complete(self, *_: Any, **others: Any) -> None:
        del others
        self._bar.advance()


class Cut(Stopper):  # type: ignore[misc]
    """Stops a trial that was refused, and all when the search was cut short."""

    def __init__(self, suggestions: Suggestions) -> None:
        self._suggestions = suggestions

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        del trial_id
        return REFUSED in result

    def stop_all(self) -> bool:
        return self._suggestions.cut is not None
