"""The command line of a training asks for that training, whatever its settings."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from detect_tl.api.commands import train_command
from detect_tl.cli.app import app
from detect_tl.training.config import TrainConfig


def parsed(line: str) -> TrainConfig:
    """What the command line hands to the api."""
    program, verb, *words = shlex.split(line)
    assert (program, verb) == ("detect-tl", "train")
    found = app.get_command(click.Context(app), "train")
    assert found is not None
    values = dict(found.make_context("train", words).params)
    for name in ("plan", "json", "quiet", "engine", "address"):
        values.pop(name)
    return TrainConfig.parse(values)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"data": Path("a folder/with 'quotes'"), "out": Path("runs/x")},
        {"strategy": "freeze", "freeze": "neck", "lr": 0.000883, "batch": 4, "views": 5},
        {"strategy": "freeze", "freeze": 5, "mosaic": 0.0, "augment": "none", "l2_sp": 0.1},
        {"freeze": (0, 1, 3), "amp": False, "imprint": False, "measure_start": True},
        {
            "same": {"sedan": "car"},
            "split": (0.5, 0.25, 0.25),
            "also": (Path("more"), Path("most")),
        },
        {"from_format": "csv", "columns": {"image": "file"}, "follow_links": True},
        {"keep_classes": ("cat", "dog"), "keep_by": "distil", "replay": Path("old")},
        {"teacher": "yolo11m", "teach": 0.5},
        {"epochs": 3, "optimizer": "SGD", "trust": True, "seed": 4, "device": "cpu"},
    ],
)
def test_a_command_asks_for_the_training(settings: dict[str, Any]) -> None:
    config = TrainConfig.parse({"data": Path("pictures"), **settings})
    assert parsed(train_command(config)) == config
