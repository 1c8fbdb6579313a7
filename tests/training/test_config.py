from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detect_tl.core.errors import UsageError
from detect_tl.training.config import TrainConfig


def test_round_trip_through_json() -> None:
    config = TrainConfig.parse({"data": "pictures", "freeze": [0, 1, 2], "split": [0.7, 0.3, 0]})
    assert TrainConfig.parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("backbone", "backbone"),
        ("neck", "neck"),
        ("none", "none"),
        ("10", 10),  # as a command line gives it
        ("0,1,2", (0, 1, 2)),
        ([3, 4], (3, 4)),
        (11, 11),
    ],
)
def test_freeze_accepts_names_and_numbers(given: object, expected: object) -> None:
    assert TrainConfig.parse({"data": "d", "freeze": given}).freeze == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, ["unknown setting 'epoch'", "Did you mean 'epochs'?"]),
        ({"imgsz": 100}, ["imgsz is 100", "multiple of 32"]),
        ({"epochs": -1, "batch": -1}, ["epochs is -1", "batch is -1"]),  # all mistakes at once
        ({"freeze": "spine"}, ["freeze is 'spine'"]),
        ({"lr": 0}, ["lr is 0"]),
        ({"lr": 1.5}, ["lr is 1.5", "less than or equal to 1"]),  # as Ultralytics has it
    ],
)
def test_mistakes_are_named(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig.parse({"data": Path("d"), **values})
    for word in words:
        assert word in str(caught.value)
