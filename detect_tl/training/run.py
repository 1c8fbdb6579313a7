"""A data set and a configuration become a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detect_tl.core.errors import GateError, OutOfMemoryError, UsageError
from detect_tl.core.files import read_json, write_json
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress, Silent
from detect_tl.models.checkpoint import Checkpoint, load_checkpoint
from detect_tl.models.yolo import model_config, quiet, without_integrations
from detect_tl.training.beginning import begin, check_device
from detect_tl.training.config import TrainConfig
from detect_tl.training.cost import peak_gpu_memory, peak_memory
from detect_tl.training.folder import RunFolder
from detect_tl.training.keeping import join_kept
from detect_tl.training.loggers import listeners
from detect_tl.training.oneshot import imprint_run
from detect_tl.training.trainer import Conduct, make_trainer

# What torch says when there is no memory; the last is oneDNN's, of the layers that run on a CPU.
_NO_MEMORY = ("out of memory", "allocate memory", "could not create a primitive")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run."""

    run: RunFolder
    task: Task
    names: tuple[str, ...]
    dataset: Path
    epochs: int
    seconds: float


def train(
    config: TrainConfig, progress: Progress | None = None, conduct: Conduct | None = None
) -> TrainResult:
    """Train as `config` says and write the run folder `config.out`.

    Everything that can be wrong with the input is found before the folder appears; from then on
    the run can be resumed, whatever ends it.

    Raises UsageError for an existing folder, DataError, WeightsError, and MachineError when the
    device is missing or its memory does not suffice.
    """
    progress = progress or Silent()
    check_device(config.device)
    run, resolved, source = begin(config, progress)
    return _carry_out(run, resolved, source, progress, conduct=conduct)


def resume(
    path: Path, progress: Progress | None = None, conduct: Conduct | None = None
) -> TrainResult:
    """Continue a run after its last finished epoch, to the result it would have had.

    Who is asked whether the run goes on is asked first of the epochs that it has.

    Raises UsageError when `path` is no run, or one that has finished.
    """
    progress = progress or Silent()
    run = RunFolder.open(path)
    if run.finished or run.trial.exists():
        raise UsageError(
            f"the run {path} has finished; there is nothing to resume",
            hint="Start a new one with `detect-tl train`.",
        )
    config = run.config().model_copy(update={"out": path})
    check_device(config.device)
    if not _has_state(run):
        progress.say("the run had not begun its first epoch; starting it")
    return carry_on(run, config, progress, conduct)


def carry_on(
    run: RunFolder, config: TrainConfig, progress: Progress, conduct: Conduct | None = None
) -> TrainResult:
    """Do the epochs that a run has left, be it all; `begin` gives its folder and configuration."""
    if not _has_state(run):
        source = load_checkpoint(Path(config.weights), trust=config.trust)
        return _carry_out(run, config, source, progress, conduct=conduct)
    state = torch.load(run.resume_state, weights_only=True, map_location="cpu")
    run.drop_epochs_after(state["epoch"])
    if not _goes_on(run, conduct):
        return conclude(run)
    progress.say(f"resuming after epoch {state['epoch'] + 1} of {config.epochs}")
    source = load_checkpoint(run.last)
    return _carry_out(run, config, source, progress, state=state, conduct=conduct)


def _has_state(run: RunFolder) -> bool:
    return run.resume_state.exists() and run.last.exists()


def _goes_on(run: RunFolder, conduct: Conduct | None) -> bool:
    """What is answered to the epochs that a run has already."""
    if conduct is None or conduct.goes_on is None:
        return True
    answers = [conduct.goes_on(epoch, row) for epoch, row in run.epochs().items() if epoch]
    return all(answers)


def conclude(run: RunFolder) -> TrainResult:
    """Let a run that was interrupted have finished with the epochs that it has."""
    epochs = run.epochs()
    last = max(epochs)
    seconds = epochs[last]["time"]
    return _finish(run, run.config(), last, seconds)


def _carry_out(
    run: RunFolder,
    config: TrainConfig,
    source: Checkpoint,
    progress: Progress,
    *,
    state: dict[str, Any] | None = None,
    conduct: Conduct | None = None,
) -> TrainResult:
    assert config.task != "auto", "the task is resolved before the run folder is written"
    if config.epochs == 0:
        with quiet(), _memory_errors(config):
            seconds = imprint_run(run, config, source, progress)
        names = tuple(read_json(run.path / "dataset.json")["names"])
        return TrainResult(run, config.task, names, run.dataset(), 0, seconds)
    with quiet(), without_integrations(), _memory_errors(config):
        trainer = make_trainer(run, config, progress, conduct or Conduct())
        if state is None:
            architecture = model_config(source.yaml, config.task)
            trainer.model = trainer.get_model(cfg=architecture, weights=source.model)
            for line in trainer.plan.summary():
                progress.say(line)
        else:
            trainer.model = source.model
            trainer.plan_stages(source.yaml)
            trainer.resume_state = state
        first = 1 if state is None else state["epoch"] + 2
        with listeners(run, first, progress.say) as trainer.listeners:
            trainer.train()
    seconds = trainer.epoch_time_start - trainer.train_time_start
    return _finish(run, config, trainer.epoch + 1, seconds)


def _finish(run: RunFolder, config: TrainConfig, epochs: int, seconds: float) -> TrainResult:
    """Write down that a run has finished, and what it took."""
    assert config.task != "auto"
    if config.branches and run.best.exists():  # who only helps to train has none
        join_kept(run, config)
    run.resume_state.unlink(missing_ok=True)
    took = {"seconds": seconds, "memory": peak_memory(), "gpu_memory": peak_gpu_memory()}
    write_json(run.cost, took)
    names = tuple(read_json(run.path / "dataset.json")["names"])
    return TrainResult(run, config.task, names, run.dataset(), epochs, seconds)


@contextmanager
def _memory_errors(config: TrainConfig) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
            raise OutOfMemoryError(
                f"out of memory at batch {config.batch} and {config.imgsz} pixels; the run folder"
                f" {config.out} is left as it is",
                hint=f"Try --batch {max((config.batch or 2) // 2, 1)}, or a smaller --imgsz.",
            ) from error
        raise
    except GateError as error:
        error.path = error.path or config.out
        raise
