"""Small models that really detect something, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detect_tl.models.yolo import build_model, model_config

NAMES = ("date", "fig", "hazel nut")
IMGSZ = 64

Maker = Callable[..., Path]


def enliven(model: torch.nn.Module) -> None:
    """Make a model with random weights answer differently to different pictures.

    Its activations fade to nothing otherwise, and all its scores are alike.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain mean over the batches
            module.reset_running_stats()
    with torch.no_grad():
        model.train()
        for _ in range(4):
            model(torch.rand(4, 3, IMGSZ, IMGSZ))
        model.eval()
        head = model.model[-1]
        for name in ("cv3", "one2one_cv3"):
            for branch in getattr(head, name, None) or ():
                branch[-1].weight.normal_(0, 1.5 / branch[-1].weight.shape[1] ** 0.5)
                branch[-1].bias.fill_(-2.5)


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Write a checkpoint as Ultralytics does, of random but seeded weights."""

    def make(name: str = "yolo11n", *, end2end: bool = False) -> Path:
        task = "segment" if name.endswith("-seg") else "detect"
        torch.manual_seed(7)
        model = build_model(model_config(name, task), task, len(NAMES))
        enliven(model)
        model.names = dict(enumerate(NAMES))
        if end2end:
            model.model[-1].end2end = True
        path = tmp_path_factory.mktemp(name) / f"{name}.pt"
        args = {"task": task, "imgsz": IMGSZ}
        torch.save({"epoch": -1, "model": model, "ema": None, "train_args": args}, path)
        return path

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Maker) -> Path:
    return make_checkpoint()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight pictures of shapes from tall to wide, with something in them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    sizes = [(40, 120), (60, 90), (80, 80), (90, 70), (100, 64), (64, 64), (120, 50), (150, 40)]
    paths = []
    for number, (width, height) in enumerate(sizes):
        image = np.full((height, width, 3), rng.integers(40, 200), np.uint8)
        for _ in range(12):
            centre = [int(v) for v in rng.integers(0, (width, height))]
            colour = [int(v) for v in rng.integers(0, 255, 3)]
            cv2.circle(image, centre, int(rng.integers(4, 20)), colour, -1)
        paths.append(folder / f"{number}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths
