"""Deciding everything about a run, and writing its folder, before anything trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from detect_tl.augment.find import resolved_name
from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.core.files import atomic_folder, refuse_existing, sha256_file, write_json
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress, Silent
from detect_tl.models.checkpoint import Checkpoint, load_checkpoint
from detect_tl.models.yolo import model_config
from detect_tl.training.augmentation import chosen_augmentation
from detect_tl.training.config import TrainConfig
from detect_tl.training.data import describe_dataset, place_dataset, task_of
from detect_tl.training.folder import RunFolder
from detect_tl.training.keeping import check_branching, kept_classes
from detect_tl.training.plan import TrainingPlan, plan_training
from detect_tl.transfer.fetch import LocatedWeights, locate


def begin(
    config: TrainConfig, progress: Progress, processes: int = 1
) -> tuple[RunFolder, TrainConfig, Checkpoint]:
    """Write the run folder of a training that has not begun; also its configuration, with nothing
    left to decide, and the weights to start from.

    processes: that are to share every batch. Raises what `train` raises, but not for the device.
    """
    refuse_existing(config.out)
    located, source = _weights(config, progress)
    progress.say(f"weights: {located.path} ({located.origin})")
    augmentation = chosen_augmentation(config.augment)
    with atomic_folder(config.out) as scratch:
        keep = kept_classes(config, source.names)
        description = describe_dataset(*place_dataset(config, scratch, progress, keep=keep), config)
        task = task_of(config, description, source.task)
        # fails now rather than after the folder has appeared
        planned = _plan(config, description, source, task)
        _refuse_to_share(planned.batch, processes)
        resolved = config.model_copy(
            update={
                "task": task,
                "strategy": planned.strategy.name,
                "batch": planned.batch,
                "soup": planned.rounds if planned.rounds > 1 else None,
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
    return RunFolder(config.out), resolved, source


def _refuse_to_share(batch: int, processes: int) -> None:
    if batch % processes:
        fitting = [n for n in range(1, processes) if batch % n == 0][-1]
        more = -(-batch // processes) * processes
        raise UsageError(
            f"a batch of {batch} images cannot be divided evenly among {processes} processes",
            hint=f"Ask for {fitting} of them, or for --batch {more}.",
        )


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
    return _plan(config, description, source, task)


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
    config: TrainConfig, dataset: dict[str, Any], source: Checkpoint, task: Task
) -> TrainingPlan:
    planned = plan_training(
        config,
        images=dataset["images"]["train"],
        names=dataset["learned" if config.branches else "names"],
        source_names=list(source.names),
        architecture=model_config(source.yaml, task),
        gpu=torch.cuda.is_available() and config.device != "cpu",
    )
    said = check_branching(config, task, planned.stages)
    return replace(planned, reasons=(*planned.reasons, *said))


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
