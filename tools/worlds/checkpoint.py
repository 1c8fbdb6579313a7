"""Ordinary Ultralytics checkpoints, without traces of the machine that wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ultralytics import __version__
from ultralytics.nn.tasks import DetectionModel

ARCHITECTURE = "yolo11n.yaml"
STARTER_KIND = "synthetic starter, not COCO"

_KEPT_ARGS = (
    "task mode epochs time batch imgsz seed optimizer lr0 lrf momentum weight_decay warmup_epochs "
    "cos_lr mosaic close_mosaic hsv_h hsv_s hsv_v degrees translate scale fliplr flipud nbs amp"
).split()


def save_random(path: Path, seed: int, classes: int = 80) -> None:
    """Write a detector of the starter's shape with weights straight from the initialisation."""
    torch.manual_seed(seed)
    model = DetectionModel(ARCHITECTURE, nc=classes, verbose=False)
    model.names = {i: f"class-{i}" for i in range(classes)}
    save(model, path, {"task": "detect"}, {"kind": "random weights"})


def strip(source: Path, out: Path, names: list[str], facts: Mapping[str, object]) -> None:
    """Write the averaged weights of the training checkpoint `source` as the starter `out`."""
    checkpoint = torch.load(source, map_location="cpu", weights_only=False)
    model = (checkpoint.get("ema") or checkpoint["model"]).float()
    model.names = dict(enumerate(names))
    extra = {
        "kind": STARTER_KIND,
        "description": f"detect-tl {STARTER_KIND}: pretrained on rendered toys",
        "pretraining": dict(facts),
    }
    save(model, out, checkpoint.get("train_args", {}), extra)


def save(
    model: DetectionModel, out: Path, train_args: Mapping[str, Any], extra: Mapping[str, Any]
) -> None:
    """Write a model in half precision, ready for inference and for training on; whole or not.

    Of `train_args` only the settings of the training itself are kept: the others are paths.
    """
    model = model.half()
    model.criterion = None
    model.args = {"task": "detect", "model": ARCHITECTURE}
    model.yaml = {**model.yaml, "yaml_file": ARCHITECTURE}
    model.pt_path = out.name
    for parameter in model.parameters():
        parameter.requires_grad = False
    content = {
        "epoch": -1,
        "best_fitness": None,
        "model": model,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {k: v for k, v in train_args.items() if k in _KEPT_ARGS},
        "version": __version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        **extra,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.part")
    torch.save(content, scratch)
    scratch.replace(out)
