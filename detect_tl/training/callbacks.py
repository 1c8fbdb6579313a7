"""What a person sees while a run goes on, as callbacks of Ultralytics' loop."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from detect_tl.core.progress import Progress, Step

FITNESS_KEYS = {"detect": "metrics/mAP50-95(B)", "segment": "metrics/mAP50-95(M)"}


class ShowProgress:
    """One bar over all steps of the run, with the loss and the latest validation result."""

    def __init__(self, progress: Progress, task: str) -> None:
        self._progress = progress
        self._key = FITNESS_KEYS[task]
        self._stack = ExitStack()
        self._bar: Step | None = None
        self._score = ""

    def attach(self, trainer: Any) -> None:
        trainer.add_callback("on_train_start", self._start)
        trainer.add_callback("on_train_batch_end", self._batch)
        trainer.add_callback("on_fit_epoch_end", self._epoch)
        trainer.add_callback("teardown", lambda _: self._stack.close())

    def _start(self, trainer: Any) -> None:
        left = trainer.epochs - trainer.start_epoch
        steps = left * len(trainer.train_loader)
        self._bar = self._stack.enter_context(self._progress.step("train", steps))

    def _batch(self, trainer: Any) -> None:
        if self._bar is not None:
            loss = sum(float(value) for value in trainer.tloss.values())
            epoch = f"epoch {trainer.epoch + 1}/{trainer.epochs}"
            self._bar.describe(f"train {epoch} · loss {loss:.2f}{self._score}")
            self._bar.advance()

    def _epoch(self, trainer: Any) -> None:
        value = (trainer.metrics or {}).get(self._key)
        if value is not None:
            self._score = f" · mAP50-95 {float(value):.3f}"


def refuse_another_batch_size(trainer: Any) -> None:
    """Let running out of memory end the run, instead of going on with half the batch.

    Ultralytics halves the batch in the first epoch; the run would then not be the one that its
    `config.json` describes, and a resume would differ.
    """
    trainer.add_callback("on_train_epoch_start", lambda t: setattr(t, "_oom_retries", 3))
