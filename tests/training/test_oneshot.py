"""A run of no epochs: what it writes, and that the weights stay what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detect_tl.core.errors import UsageError
from detect_tl.core.files import read_json
from detect_tl.models.checkpoint import load_checkpoint, same_tensors
from detect_tl.training.beginning import plan_only
from detect_tl.training.config import TrainConfig
from detect_tl.training.pictures import Pictures
from detect_tl.training.run import resume, train
from tests.devices import DEVICE
from tests.training.conftest import SIDE


@pytest.fixture
def settings(shapes: Path, small_checkpoint: Path, tmp_path: Path) -> dict[str, Any]:
    common = {"imgsz": SIDE, "device": DEVICE, "epochs": 0}
    return {"data": shapes, "weights": str(small_checkpoint), "out": tmp_path / "run", **common}


def test_only_the_rows_of_new_classes_differ_from_the_weights(
    settings: dict[str, Any], small_checkpoint: Path
) -> None:
    result = train(TrainConfig.parse(settings))
    assert (result.epochs, result.task, result.names) == (0, "detect", ("disc", "square"))
    assert result.run.finished
    assert same_tensors(result.run.best, result.run.last)
    now = load_checkpoint(result.run.best)
    before = load_checkpoint(small_checkpoint).model.state_dict()
    changed = {k for k, v in now.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {
        f"model.23.cv3.{level}.2.{part}" for level in range(3) for part in ("weight", "bias")
    }
    assert now.names == ("disc", "square")
    told = read_json(result.run.transfer)
    assert set(told["classes"]["imprinted"]) == {"disc", "square"}
    assert read_json(result.run.strategy)["strategy"] == "imprint"
    assert not result.run.metrics.exists()


def test_an_interrupted_run_goes_on_to_the_same_result(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TrainConfig.parse({**settings, "out": tmp_path / "whole"})).run

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("detect_tl.training.oneshot.imprint", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(TrainConfig.parse(settings))
    assert same_tensors(resume(settings["out"]).run.best, whole.best)


def test_classes_known_by_name_keep_their_rows(
    settings: dict[str, Any], shapes: Path, tmp_path: Path
) -> None:
    """What was imprinted once is a checkpoint that knows the classes: nothing is new to it."""
    first = train(TrainConfig.parse(settings)).run
    again = {**settings, "weights": str(first.best), "out": tmp_path / "again"}
    second = train(TrainConfig.parse(again)).run
    assert same_tensors(first.best, second.best)
    assert read_json(second.transfer)["classes"]["imprinted"] == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "full"}, "no epochs in which"),
        ({"freeze": "neck"}, "no epochs in which"),
        ({"task": "segment"}, "boxes"),
    ],
)
def test_what_cannot_be_without_training_is_refused(
    settings: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        train(TrainConfig.parse({**settings, **changes}))
    assert not settings["out"].exists()


def test_the_plan_says_that_nothing_trains(settings: dict[str, Any]) -> None:
    plan = plan_only(TrainConfig.parse(settings))
    assert plan.stages == ()
    assert plan.summary() == [
        "strategy imprint: nothing trains: rows of new classes are computed from their objects"
    ]


def test_pictures_are_those_of_the_annotations(shapes: Path) -> None:
    pictures = Pictures.of(shapes, "train", 64)
    assert len(pictures) == 12
    image, before, now = pictures.load_image(0)
    assert (image.shape, before, now) == ((64, 64, 3), (SIDE, SIDE), (64, 64))
    for sample, labels in zip(pictures.samples, pictures.labels, strict=True):
        centre, size = np.split(labels["bboxes"] * SIDE, 2, axis=1)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        assert boxes == pytest.approx(np.array([item.box for item in sample.instances]))
        assert labels["cls"].ravel().tolist() == [item.category for item in sample.instances]
