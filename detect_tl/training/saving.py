"""What a trainer writes: checkpoints, the state that a resume needs, rows of metrics."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from detect_tl import __version__
from detect_tl.core.files import atomic_path
from detect_tl.models.yolo import ULTRALYTICS_VERSION, unwrap_model
from detect_tl.training.objective import weigh_heads


def checkpoint(trainer: Any) -> bytes:
    """Serialise the averaged model as an ordinary Ultralytics checkpoint without optimizer."""
    facts = {
        "epoch": getattr(trainer, "epoch", -1),
        "best_fitness": trainer.best_fitness,
        "train_args": {**vars(trainer.args), **trainer.places},
        "train_metrics": {**(trainer.metrics or {}), "fitness": trainer.fitness},
    }
    return packed(trainer.ema.ema, exact=trainer.frozen_tensors, facts=facts)


def packed(model: Any, *, exact: set[str], facts: Mapping[str, Any]) -> bytes:
    """Serialise a model as an ordinary Ultralytics checkpoint, in float16 where that is exact.

    exact: names of the tensors that must not change by it. facts: what else the file says.
    """
    model = deepcopy(model).to(memory_format=torch.contiguous_format)
    model.criterion = None
    if _survives_half(model, exact):
        model = model.half()
    buffer = io.BytesIO()
    content = {
        "epoch": -1,
        "best_fitness": None,
        "model": model,
        "ema": None,
        "updates": None,
        "optimizer": None,
        **facts,
        "date": datetime.now(UTC).isoformat(),
        "version": ULTRALYTICS_VERSION,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "detect_tl": {"version": __version__},
    }
    torch.save(content, buffer)
    return buffer.getvalue()


def state(trainer: Any, epoch: int) -> bytes:
    """Serialise everything by which the epochs after `epoch` (from 0; -1: none) are decided."""
    buffer = io.BytesIO()
    content = {
        "epoch": epoch,
        "seconds": time.time() - trainer.train_time_start,
        "model": unwrap_model(trainer.model).state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_fitness": _plain(trainer.best_fitness),
        "views": trainer.staging.views,
        "soup": {} if trainer.soup is None else trainer.soup.state(),
        "mixed": trainer.mixed_precision,
        "start": dict(trainer.start_metrics),
        "anchor": {} if trainer.anchor is None else trainer.anchor.start,
        "stopper": {
            "best_fitness": _plain(trainer.stopper.best_fitness),
            "best_epoch": trainer.stopper.best_epoch,
        },
    }
    torch.save(content, buffer)
    return buffer.getvalue()


def restore(trainer: Any, content: dict[str, Any]) -> None:
    """Put a trainer into the state that was saved."""
    model = unwrap_model(trainer.model)
    model.load_state_dict(content["model"])
    trainer.ema.ema.load_state_dict(content["ema"])
    trainer.ema.updates = content["updates"]
    trainer.optimizer.load_state_dict(content["optimizer"])
    trainer.scaler.load_state_dict(content["scaler"])
    trainer.best_fitness = content["best_fitness"]
    trainer.stopper.__dict__.update(content["stopper"])
    trainer.start_epoch = content["epoch"] + 1
    trainer.mixed_precision = content["mixed"]
    trainer.start_metrics = content["start"]
    weigh_heads(model, trainer.start_epoch, trainer.epochs)


def write_row(path: Path, epoch: int, seconds: float, metrics: Mapping[str, Any]) -> None:
    """Add an epoch, from 1, to `metrics.csv`, under the header that Ultralytics writes."""
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if stream.tell() == 0:
            writer.writerow(["epoch", "time", *metrics])
        writer.writerow([epoch, *(f"{float(value):.6g}" for value in (seconds, *metrics.values()))])


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_path(path) as scratch:
        scratch.write_bytes(content)


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)


def _survives_half(model: torch.nn.Module, frozen: set[str]) -> bool:
    """Whether float16 holds every frozen tensor exactly, as it does for official checkpoints."""
    tensors = model.state_dict()
    return all(
        torch.equal(tensors[name], tensors[name].half().float())
        for name in frozen
        if tensors[name].dtype is torch.float32
    )
