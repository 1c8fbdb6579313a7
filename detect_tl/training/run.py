"""A data set and a configuration become a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch

from detect_tl.augment.find import resolved_name
from detect_tl.augment.spec import Augmentation
from detect_tl.core.errors import (
    GateError,
    MachineError,
    OutOfMemoryError,
    UsageError,
    WeightsError,
)
from detect_tl.core.files import (
    atomic_folder,
    find_images,
    read_json,
    refuse_existing,
    sha256_file,
    write_json,
)
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.words import counted
from detect_tl.models.checkpoint import Checkpoint, load_checkpoint
from detect_tl.models.yolo import model_config, quiet, without_integrations
from detect_tl.training.augmentation import Augment, chosen_augmentation, ultralytics_settings
from detect_tl.training.callbacks import ShowProgress, refuse_another_batch_size
from detect_tl.training.config import TrainConfig
from detect_tl.training.cost import peak_gpu_memory, peak_memory
from detect_tl.training.data import describe_dataset, kept_classes, place_dataset, task_of
from detect_tl.training.engine import RESUME_FILE, TransferTrainer
from detect_tl.training.folder import RunFolder
from detect_tl.training.lesson import Teacher
from detect_tl.training.loggers import GoesOn, listeners
from detect_tl.training.oneshot import imprint_run
from detect_tl.training.plan import TrainingPlan, plan_training, strategy_of
from detect_tl.transfer.fetch import LocatedWeights, locate

_RAM_SHARE_FOR_IMAGES = 0.25

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


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a run is carried out, beside what it is.

    goes_on: is asked after every epoch; what ends by its answer has finished. threads: cores that a
    run on the CPU may use; None: all there are.
    """

    goes_on: GoesOn | None = None
    threads: int | None = None


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
    refuse_existing(config.out)
    located, source = _weights(config, progress)
    progress.say(f"weights: {located.path} ({located.origin})")
    check_device(config.device)
    augmentation = chosen_augmentation(config.augment)
    with atomic_folder(config.out) as scratch:
        keep = kept_classes(config, source.names)
        description = describe_dataset(*place_dataset(config, scratch, progress, keep=keep), config)
        task = task_of(config, description, source.task)
        # fails now rather than after the folder has appeared
        planned = _plan(config, description, source, model_config(source.yaml, task))
        resolved = config.model_copy(
            update={
                "task": task,
                "strategy": planned.strategy.name,
                "batch": planned.batch,
                "data": config.data.resolve(),
                "also": tuple(path.resolve() for path in config.also),
                "replay": config.replay and config.replay.resolve(),
                "yardstick": config.yardstick and config.yardstick.resolve(),
                "weights": str(located.path),
                "augment": resolved_name(config.augment),
                "kin": config.kin and config.kin.resolve(),
            }
        )
        weights = sha256_file(located.path)
        RunFolder(scratch).write_description(resolved, description, config.device, weights)
        write_json(RunFolder(scratch).strategy, planned.as_json())
        if augmentation is not None:
            RunFolder(scratch).augmentation.write_text(augmentation.as_yaml(), "utf-8")
    for line in planned.summary():
        progress.say(line)
    run = RunFolder(config.out)
    return _carry_out(run, resolved, source, progress, conduct=conduct)


def plan_only(config: TrainConfig, progress: Progress | None = None) -> TrainingPlan:
    """What `train` would do with the same configuration; nothing is left behind.

    Raises what `train` raises for input that cannot be used.
    """
    progress = progress or Silent()
    _, source = _weights(config, progress)
    keep = kept_classes(config, source.names)
    with TemporaryDirectory() as scratch:
        placed = place_dataset(config, Path(scratch), progress, "soft", keep)
        description = describe_dataset(*placed, config)
    task = task_of(config, description, source.task)
    return _plan(config, description, source, model_config(source.yaml, task))


def _weights(config: TrainConfig, progress: Progress) -> tuple[LocatedWeights, Checkpoint]:
    """The weights to start from; raise WeightsError for those that cannot be trained."""
    located = locate(config.weights, trust=config.trust, progress=progress)
    source = load_checkpoint(located.path, trust=config.trust)
    if not source.trainable:
        raise WeightsError(
            "was fused for inference: its BatchNorm layers are gone, so it cannot be trained",
            path=located.path,
            hint="Use the checkpoint that training wrote, before export or fusing.",
        )
    return located, source


def _plan(
    config: TrainConfig,
    dataset: dict[str, Any],
    source: Checkpoint,
    architecture: dict[str, Any],
) -> TrainingPlan:
    return plan_training(
        config,
        images=dataset["images"]["train"],
        names=dataset["names"],
        source_names=list(source.names),
        architecture=architecture,
        gpu=torch.cuda.is_available() and config.device != "cpu",
    )


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
    if run.resume_state.exists() and run.last.exists():
        state = torch.load(run.resume_state, weights_only=True, map_location="cpu")
        run.drop_epochs_after(state["epoch"])
        if not _goes_on(run, conduct):
            return conclude(run)
        progress.say(f"resuming after epoch {state['epoch'] + 1} of {config.epochs}")
        source = load_checkpoint(run.last)
        return _carry_out(run, config, source, progress, state, conduct=conduct)
    progress.say("the run had not begun its first epoch; starting it")
    source = load_checkpoint(Path(config.weights), trust=config.trust)
    return _carry_out(run, config, source, progress, conduct=conduct)


def _goes_on(run: RunFolder, conduct: Conduct | None) -> bool:
    """What is answered to the epochs that a run has already."""
    if conduct is None or conduct.goes_on is None:
        return True
    answers = [conduct.goes_on(epoch, row) for epoch, row in run.epochs().items() if epoch]
    return all(answers)


def conclude(run: RunFolder) -> TrainResult:
    """Let a run that was interrupted have finished with the epochs that it has."""
    epochs, task = run.epochs(), run.config().task
    assert task != "auto", "the task is resolved before the run folder is written"
    last = max(epochs)
    seconds = epochs[last]["time"]
    run.resume_state.unlink(missing_ok=True)
    _write_cost(run, seconds)
    names = tuple(read_json(run.path / "dataset.json")["names"])
    return TrainResult(run, task, names, run.dataset(), last, seconds)


def _write_cost(run: RunFolder, seconds: float) -> None:
    took = {"seconds": seconds, "memory": peak_memory(), "gpu_memory": peak_gpu_memory()}
    write_json(run.cost, took)


def check_device(device: str) -> None:
    """Raise MachineError when `device` is a GPU that is not there."""
    if device in ("", "cpu"):
        return
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise MachineError("this machine has no Apple GPU (mps)", hint="Use --device cpu.")
        return
    numbers = device.removeprefix("cuda:").split(",")
    if not all(number.isdigit() for number in numbers):
        raise UsageError(f"unknown device {device!r}", hint="Use cpu, mps, or a CUDA number: 0.")
    count = torch.cuda.device_count()
    if any(int(number) >= count for number in numbers):
        raise MachineError(
            f"CUDA device {device} was asked for, but this machine has {count}",
            hint="Use --device cpu, or check the driver with `detect-tl doctor`.",
        )


def _carry_out(
    run: RunFolder,
    config: TrainConfig,
    source: Checkpoint,
    progress: Progress,
    state: dict[str, Any] | None = None,
    *,
    conduct: Conduct | None = None,
) -> TrainResult:
    conduct = conduct or Conduct()
    assert config.task != "auto", "the task is resolved before the run folder is written"
    dataset = run.dataset()
    if config.epochs == 0:
        with quiet(), _memory_errors(config):
            seconds = imprint_run(run, config, source, progress)
        names = tuple(read_json(run.path / "dataset.json")["names"])
        return TrainResult(run, config.task, names, dataset, 0, seconds)
    written = run.augmentation  # what it was when the run began, whatever its name stands for now
    augmentation = chosen_augmentation(str(written)) if written.exists() else None
    with quiet(), without_integrations(), _memory_errors(config):
        settings = _overrides(config, run, dataset, augmentation)
        trainer = TransferTrainer(overrides={**settings, "threads": conduct.threads})
        if augmentation is not None:
            trainer.augment = Augment(augmentation, config.imgsz)
        trainer.strategy = strategy_of(config)
        trainer.teachers = _teachers(config, list(trainer.data["names"].values()), progress)
        trainer.kept = sum(len(teacher.only or ()) for teacher in trainer.teachers)
        trainer.say = progress.say
        trainer.validates_best = False  # whoever trains evaluates it, by pycocotools
        trainer.csv = run.metrics
        trainer.goes_on = conduct.goes_on
        if state is None:
            architecture = model_config(source.yaml, config.task)
            trainer.model = trainer.get_model(cfg=architecture, weights=source.model)
            for line in trainer.plan.summary():
                progress.say(line)
        else:
            trainer.model = source.model
            trainer.plan_stages(source.yaml)
            trainer.resume_state = state
        ShowProgress(progress, config.task).attach(trainer)
        refuse_another_batch_size(trainer)
        first = 1 if state is None else state["epoch"] + 2
        with listeners(run, first, progress.say) as trainer.listeners:
            trainer.train()
    (trainer.wdir / RESUME_FILE).unlink(missing_ok=True)
    names = tuple(trainer.data["names"].values())
    seconds = trainer.epoch_time_start - trainer.train_time_start
    _write_cost(run, seconds)
    return TrainResult(run, config.task, names, dataset, trainer.epoch + 1, seconds)


def _teachers(config: TrainConfig, names: Sequence[str], progress: Progress) -> list[Teacher]:
    """Whose answers are learned: those of the model as it was, and of a teacher.

    Raises WeightsError for a teacher that cannot be used.
    """
    found = []
    if config.keep_classes:
        before = load_checkpoint(Path(config.weights), trust=config.trust)
        kept = kept_classes(config, before.names)
        found.append(Teacher(before, number=0, only=kept, weight=config.teach))
    if config.teacher is not None:
        located = locate(config.teacher, trust=config.trust, progress=progress)
        teacher = load_checkpoint(located.path, trust=config.trust)
        found.append(Teacher(teacher, number=1, weight=config.teach))
        shared = found[-1].shared(names)
        progress.say(f"teacher: {located.path}, for {counted(len(shared), 'class', 'classes')}")
    return found


def _overrides(
    config: TrainConfig, run: RunFolder, dataset: Path, augmentation: Augmentation | None
) -> dict[str, Any]:
    """Translate the configuration into Ultralytics' settings."""
    return {
        "task": config.task,
        "mode": "train",
        "model": config.weights,
        "data": str((dataset / "data.yaml").resolve()),
        "save_dir": str(run.path.resolve()),
        "exist_ok": True,
        "imprint": config.imprint,
        "kin": config.kin,
        # without augmentation every view would be the same
        "views": 1 if augmentation and not augmentation.steps else config.views,
        "refresh": config.refresh,
        "cache_limit": config.cache_limit,
        "l2_sp": config.l2_sp,
        "measure_start": config.measure_start,
        "epochs": config.epochs,
        "imgsz": config.imgsz,
        "batch": config.batch,
        # A step after every batch. Gradients that are still being summed at the end of an epoch
        # would be lost to a resume, and small data sets have few enough steps as it is.
        "nbs": config.batch,
        "optimizer": "AdamW" if config.lr and config.optimizer == "auto" else config.optimizer,
        **({"lr0": config.lr} if config.lr else {}),
        "patience": config.patience,
        "amp": _precision(config),
        "mosaic": config.mosaic,
        "close_mosaic": config.close_mosaic,
        "seed": config.seed,
        "device": config.device,
        "workers": config.workers,
        "cache": "ram" if _fits_in_ram(dataset, config.imgsz) else False,
        "plots": False,
        "verbose": False,
        **ultralytics_settings(augmentation),
    }


def _precision(config: TrainConfig) -> bool | str:
    """`bf16` where a GPU has it: Ultralytics then skips a check that fetches a model."""
    if config.amp and config.device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else True
    return config.amp


def _fits_in_ram(dataset: Path, imgsz: int) -> bool:
    needed = len(find_images(dataset / "images")) * imgsz * imgsz * 3
    return needed < _RAM_SHARE_FOR_IMAGES * float(psutil.virtual_memory().available)


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
