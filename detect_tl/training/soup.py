"""Several trainings in one run, each from the same start, and the average of their weights.

What was fine-tuned from the same weights lies in one basin of the loss, where an average is better
than its ingredients and costs no more in use ("model soups", Wortsman et al. 2022,
arXiv:2203.05482).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch

from detect_tl.models.yolo import unwrap_model
from detect_tl.training.objective import weigh_heads
from detect_tl.transfer.stages import stage_at

State = Mapping[str, torch.Tensor]


class Soup:
    """The rounds of one run. What is validated and written in a round is the average of what the
    rounds before it ended with and of the one that is under way.

    over: how many rounds are over.
    """

    def __init__(
        self, trainer: Any, *, start: State | None = None, mean: State | None = None, over: int = 0
    ) -> None:
        """start: weights that every round begins with; None: those that there are. mean: average of
        the rounds that are over. A run that goes on knows all three by its `state`."""
        self._trainer = trainer
        self._start = _copied(unwrap_model(trainer.model).state_dict() if start is None else start)
        self._mean = {} if mean is None else mean
        self.over = over

    def state(self) -> dict[str, Any]:
        """What a resume needs."""
        return {"start": self._start, "mean": self._mean, "over": self.over}

    def begin_epoch(self, epoch: int) -> None:
        """Begin again from the start where a round does."""
        trainer = self._trainer
        planned = stage_at(trainer.stages, epoch)
        if planned.round != self.over:
            self._mean = self._with(trainer.ema.ema.state_dict())
            self.over = planned.round
            for model in (unwrap_model(trainer.model), trainer.ema.ema):
                model.load_state_dict(self._start)
            trainer.ema.updates = 0
            trainer.optimizer.state.clear()
            trainer.stopper.best_epoch = epoch  # patience begins anew
        first = min(each.start for each in trainer.stages if each.round == planned.round)
        weigh_heads(unwrap_model(trainer.model), epoch - first, planned.until - first)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Let the trainer have the average of all rounds, in the place of that of this one."""
        own = self._trainer.ema.ema
        if self.over:
            served = deepcopy(own)
            served.load_state_dict(self._with(own.state_dict()))
            self._trainer.ema.ema = served
        try:
            yield
        finally:
            self._trainer.ema.ema = own

    def _with(self, state: State) -> State:
        """The average of the rounds that are over and of one more; to the bit where all agree."""
        if not self.over:
            return _copied(state)
        share = 1 / (self.over + 1)
        return {
            name: torch.lerp(self._mean[name].to(value.device), value, share)
            if value.is_floating_point()
            else value.clone()
            for name, value in state.items()
        }


def _copied(state: State) -> State:
    return {name: value.detach().clone() for name, value in state.items()}
