"""The trainer of a run, as its configuration says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

from detect_tl.augment.spec import Augmentation
from detect_tl.core.files import find_images, read_json
from detect_tl.core.progress import Progress
from detect_tl.core.words import counted
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.augmentation import Augment, chosen_augmentation, ultralytics_settings
from detect_tl.training.callbacks import ShowProgress, refuse_another_batch_size
from detect_tl.training.config import TrainConfig
from detect_tl.training.engine import TransferTrainer
from detect_tl.training.folder import RunFolder
from detect_tl.training.keeping import kept_classes
from detect_tl.training.lesson import Teacher
from detect_tl.training.loggers import GoesOn
from detect_tl.training.plan import strategy_of
from detect_tl.training.team import Team
from detect_tl.transfer.fetch import locate

_RAM_SHARE_FOR_IMAGES = 0.25


class Watcher(Protocol):
    """Sees a training go on, by callbacks of the trainer."""

    def attach(self, trainer: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a run is carried out, beside what it is.

    goes_on: is asked after every epoch; what ends by its answer has finished. threads: cores that a
    run on the CPU may use; None: all there are. team: those with whom this process trains; every
    one has a folder, and only the leader's is written to.
    """

    goes_on: GoesOn | None = None
    threads: int | None = None
    team: Team = field(default_factory=Team)
    watchers: Sequence[Watcher] = ()


def make_trainer(run: RunFolder, config: TrainConfig, progress: Progress, conduct: Conduct) -> Any:
    """A trainer for a run, which has no model yet."""
    written = run.augmentation  # what it was when the run began, whatever its name stands for now
    augmentation = chosen_augmentation(str(written)) if written.exists() else None
    settings = _overrides(config, run, run.dataset(), augmentation)
    trainer = TransferTrainer(
        overrides={**settings, "threads": conduct.threads, "team": conduct.team}
    )
    if augmentation is not None:
        trainer.augment = Augment(augmentation, config.imgsz)
    trainer.strategy = strategy_of(config)
    trainer.teachers = _teachers(config, list(trainer.data["names"].values()), progress)
    trainer.kept = sum(len(teacher.only or ()) for teacher in trainer.teachers)
    if config.branches:
        trainer.learned = len(read_json(run.path / "dataset.json")["learned"])
    trainer.say = progress.say
    trainer.validates_best = False  # whoever trains evaluates it, by pycocotools
    trainer.csv = run.metrics
    trainer.goes_on = conduct.goes_on
    for watcher in (ShowProgress(progress, config.task), *conduct.watchers):
        watcher.attach(trainer)
    refuse_another_batch_size(trainer)
    return trainer


def _teachers(config: TrainConfig, names: Sequence[str], progress: Progress) -> list[Teacher]:
    """Whose answers are learned: those of the model as it was, and of a teacher.

    Raises WeightsError for a teacher that cannot be used.
    """
    found = []
    if config.keep_classes and not config.branches:
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
        "soup": config.soup,
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
