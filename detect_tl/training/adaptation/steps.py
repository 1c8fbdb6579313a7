"""The steps of an adaptation that change tensors: each reads a checkpoint and writes another."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detect_tl.core.errors import WeightsError
from detect_tl.core.files import sha256_file
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Progress, Silent
from detect_tl.models.checkpoint import Checkpoint, load_checkpoint
from detect_tl.training.adaptation.pictures import as_batch
from detect_tl.training.adaptation.statistics import measure, reestimate, share_of
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.run import resume, train
from detect_tl.training.saving import packed, write_bytes
from detect_tl.transfer.freeze import FreezeSpec, frozen_layers

TEACHER_KEEPS = 0.5
"""How much of itself a teacher keeps when a round ends; the student gives the rest."""


@dataclass(frozen=True, slots=True)
class Source:
    """The model to adapt. sha256: of its file, of which nothing is ever written."""

    path: Path
    sha256: str
    task: Task
    names: tuple[str, ...]


def read_source(path: Path, freeze: FreezeSpec, *, trust: bool = False) -> Source:
    """Look at a checkpoint; raise WeightsError for one that cannot be adapted.

    freeze: what will not train; UsageError where the model has no such layers.
    """
    found = load_checkpoint(path, trust=trust)
    if not found.trainable:
        raise WeightsError(
            "was fused for inference: its BatchNorm layers are gone, so it cannot be adapted",
            path=path,
            hint="Use the checkpoint that training wrote, before export or fusing.",
        )
    frozen_layers(freeze, found.yaml)
    return Source(path, sha256_file(path), found.task, found.names)


def adapt_statistics(
    source: Path,
    target: Path,
    pictures: Sequence[Path],
    imgsz: int,
    *,
    reference: Sequence[Path] = (),
    trust: bool = False,
) -> None:
    """Write `source` with the BatchNorm statistics of these pictures; see `statistics.py`.

    reference: plain pictures of the camera that the model was trained for.
    """
    checkpoint = load_checkpoint(source, trust=trust)
    known = measure(checkpoint.model, as_batch(reference, imgsz)) if reference else None
    reestimate(checkpoint.model, as_batch(pictures, imgsz), share_of(len(pictures)), known)
    _write(checkpoint, checkpoint.model, target)


def student_config(**settings: Any) -> TrainConfig:
    """The settings of a round.

    The student sees pictures changed strongly but one by one, not as mosaics: it keeps statistics
    of its own, which are to be those of whole pictures. Features are not kept, since every view is
    seen once.
    """
    decided = {
        "strategy": "freeze",
        "augment": "heavy",
        "mosaic": 0.0,
        "close_mosaic": 0,
        "patience": 0,
        "imprint": False,
        "cache_limit": 0.0,
        "workers": 0,
    }
    return TrainConfig.parse({**decided, **settings})


def train_student(config: TrainConfig, progress: Progress | None = None) -> Path:
    """Train on pseudo-labels; return the student, the average over its steps.

    A round that was interrupted goes on; one that has finished is not trained again.
    """
    run = RunFolder(config.out)
    if not run.path.exists():
        train(config, progress or Silent())
    elif not run.finished:
        resume(run.path, progress or Silent())
    return run.last


def write_teacher(teacher: Path, student: Path, target: Path, *, trust: bool = False) -> None:
    """Write the next teacher: `TEACHER_KEEPS` of the one before, the rest of the student.

    What is equal in both stays equal to the bit.
    """
    before, after = load_checkpoint(teacher, trust=trust), load_checkpoint(student)
    model = deepcopy(before.model)
    state, learned = model.state_dict(), after.model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            if value.is_floating_point():
                value.lerp_(learned[name].to(value), 1 - TEACHER_KEEPS)
    _write(before, model, target)


def _write(checkpoint: Checkpoint, model: nn.Module, target: Path) -> None:
    """Write a model as an ordinary Ultralytics checkpoint, exactly, whole or not at all."""
    facts = {"train_args": dict(checkpoint.train_args), "train_metrics": {}}
    write_bytes(target, packed(model, exact=set(model.state_dict()), facts=facts))
