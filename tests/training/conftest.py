"""A data set and checkpoints small enough to train in seconds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from detect_tl.core.model_spec import Task
from detect_tl.models.yolo import build_model, model_config

NAMES = ("disc", "square")
SIDE = 96


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw YOLO annotations: 12 training and 6 validation images of discs and squares."""
    root = tmp_path_factory.mktemp("shapes") / "raw"
    rng = random.Random(7)
    for split, count in (("train", 12), ("val", 6)):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for index in range(count):
            _draw(root, split, f"{split}{index:02}", rng)
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(NAMES))
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}\n")
    return root


def _draw(root: Path, split: str, stem: str, rng: random.Random) -> None:
    image = Image.new("RGB", (SIDE, SIDE), tuple(rng.randrange(60) for _ in range(3)))
    pen, lines = ImageDraw.Draw(image), []
    for left in (8, 52):
        kind, side = rng.randrange(2), rng.randrange(20, 36)
        top = rng.randrange(4, SIDE - side - 4)
        box = (left, top, left + side, top + side)
        colour = tuple(rng.randrange(120, 256) for _ in range(3))
        (pen.ellipse if kind == 0 else pen.rectangle)(box, fill=colour)
        centre = (left + side / 2) / SIDE, (top + side / 2) / SIDE
        lines.append(f"{kind} {centre[0]} {centre[1]} {side / SIDE} {side / SIDE}\n")
    image.save(root / "images" / split / f"{stem}.png")
    (root / "labels" / split / f"{stem}.txt").write_text("".join(lines))


def write_checkpoint(path: Path, name: str, *, half: bool = True, task: Task = "detect") -> Path:
    """Write a randomly filled model with COCO's number of classes, as a checkpoint file."""
    torch.manual_seed(0)
    model = build_model(model_config(name, task), task, 80)
    for buffer_name, value in model.named_buffers():
        if buffer_name.endswith("running_mean"):
            value.normal_(0, 0.1)
        if buffer_name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    model.names = {index: f"class {index}" for index in range(80)}
    torch.save({"model": model.half() if half else model, "ema": None, "epoch": -1}, path)
    return path


@pytest.fixture(scope="session", params=["yolov8n", "yolo11n", "yolo26n"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of every family whose backbone ends at another layer."""
    name: str = request.param
    return write_checkpoint(tmp_path_factory.mktemp("weights") / f"{name}.pt", name)


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "yolo11n.pt", "yolo11n")
