"""What a trainer tells and keeps of its epochs: metrics, checkpoints, the state for a resume."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any

import torch

from detect_tl.models.yolo import BaseTrainer
from detect_tl.training.loggers import GoesOn, Listener
from detect_tl.training.saving import checkpoint, state, write_bytes, write_row
from detect_tl.training.soup import Soup
from detect_tl.training.team import Team
from detect_tl.transfer.stages import PlannedStage

RESUME_FILE = "resume.pt"


class Recording(BaseTrainer):  # type: ignore[misc]  # Ultralytics is not typed
    """Mixed in before Ultralytics' trainer of a task.

    start_metrics: what was measured before the first step. validates_best: whether the best
    checkpoint is validated once more at the end, as Ultralytics does. listeners: are told the
    numbers of every epoch. goes_on: is asked after every epoch, when all of it has been written,
    whether there is to be another. soup: of the rounds of the run, where there are several.
    """

    team: Team
    stages: tuple[PlannedStage, ...]
    start_metrics: Mapping[str, float] = MappingProxyType({})
    validates_best: bool = True
    listeners: Sequence[Listener] = ()
    goes_on: GoesOn | None = None
    soup: Soup | None = None
    _told: Mapping[str, float] = MappingProxyType({})

    def measure(self) -> dict[str, float]:
        """Validate before the first step. It is no epoch, so it cannot be the best one."""
        self.epoch = -1
        self.loss, self.loss_items = self._first_loss()
        metrics, _ = self.validate()
        self.best_fitness = None
        return {name: float(value) for name, value in metrics.items()}

    def _first_loss(self) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a picture: validation asks the trainer for the names of its parts."""
        dataset = self.test_loader.dataset
        batch = self.preprocess_batch(dataset.collate_fn([dataset[0]]))
        average = self.ema.ema.eval()
        with torch.no_grad():
            loss, items = average.loss(batch)
        return loss.sum(), items

    def end_epoch(self) -> None:
        """Ask whether to go on. Ultralytics tells of its last validation as of an epoch, too."""
        told, self._told = self._told, {}
        if told and self.goes_on is not None and not self.goes_on(self.epoch + 1, told):
            self.stop = True

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Add an epoch to the metrics; before the first one, what was measured at the start.

        One rate, that of the head, stands in the place of one for each group of parameters. Losses
        of training are those of all shares.
        """
        metrics = metrics | self.team.mean({k: v for k, v in metrics.items() if "train/" in k})
        if not self.team.leads:
            return
        if self.stages:
            head = self.optimizer.param_groups[0]["lr"]
            metrics = {k: v for k, v in metrics.items() if not k.startswith("lr/")} | {"lr": head}
        if self.start_metrics and not self.csv.exists():
            unknown = dict.fromkeys(metrics, math.nan)
            self._record(0, 0.0, {**unknown, **self.start_metrics})
        self._record(self.epoch + 1, time.time() - self.train_time_start, metrics)

    def _record(self, epoch: int, seconds: float, metrics: Mapping[str, Any]) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        write_row(self.csv, epoch, seconds, values)
        self._told = values if epoch else {}
        for tell in self.listeners:
            tell(epoch, values)

    def save_model(self) -> bool:
        """Write `last.pt`, `best.pt` when this epoch is the best, and what a resume needs.

        Each file appears whole; `resume.pt` comes last, so it never names an epoch whose
        checkpoint is missing.
        """
        if not self.team.leads:
            return True
        with self.served():
            written = checkpoint(self)
        write_bytes(self.last, written)
        if self.best_fitness == self.fitness:
            write_bytes(self.best, written)
        self.save_state(self.epoch)
        return True

    def served(self) -> AbstractContextManager[None]:
        """While the average that is validated and written is that of all rounds."""
        return nullcontext() if self.soup is None else self.soup.served()

    def save_state(self, epoch: int) -> None:
        write_bytes(self.wdir / RESUME_FILE, state(self, epoch))

    def final_eval(self) -> None:
        """Validate the best checkpoint. Nothing is stripped: checkpoints are written that way."""
        if not self.validates_best:
            return
        model = self.best if self.best.exists() else self.last
        self.validator.args.plots = self.args.plots
        self.metrics = self.validator(model=model)
        self.metrics.pop("fitness", None)
        self.run_callbacks("on_fit_epoch_end")
