"""What trains in which epoch, on a real run, and what is kept of frozen layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.files import read_json
from detect_tl.core.progress import Silent
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.engine import DetectionTransferTrainer
from detect_tl.training.features import Budget, FeatureViews
from detect_tl.training.plan import batch_for
from detect_tl.training.run import resume, train
from detect_tl.training.staging import Settings
from detect_tl.transfer import strategies
from detect_tl.transfer.strategies import FREEZE
from tests.training.test_run import config, tensors

State = dict[str, torch.Tensor]


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[State, State]]:
    """Weights and their average after every epoch of the runs in a test."""
    seen: list[tuple[State, State]] = []
    save = DetectionTransferTrainer.save_model

    def saving(trainer: Any) -> Any:
        both = trainer.model.state_dict(), trainer.ema.ema.state_dict()
        seen.append(tuple({k: v.cpu().clone() for k, v in state.items()} for state in both))
        return save(trainer)

    monkeypatch.setattr(DetectionTransferTrainer, "save_model", saving)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["head", "freeze", "lp-ft", "partial", "gradual", "full"])
def test_layers_train_when_their_stage_says_and_not_before(
    shapes: Path,
    small_checkpoint: Path,
    tmp_path: Path,
    epochs: list[tuple[State, State]],
    strategy: str,
) -> None:
    run = train(config(shapes, small_checkpoint, tmp_path / "run", epochs=3, strategy=strategy)).run
    before = {k: v.float() for k, v in tensors(small_checkpoint).items()}
    stages = read_json(run.strategy)["stages"]
    assert len(epochs) == 3
    for stage in stages:
        frozen = set(stage["frozen"])
        first, last = stage["epochs"]
        for model, average in epochs[first - 1 : last]:
            for name, value in before.items():
                if layer_of(name) in frozen:
                    assert torch.equal(model[name], value), name
                    assert torch.equal(average[name], value), name
            convolutions = [
                name
                for name, value in before.items()
                if name.endswith("conv.weight")
                and value.shape == model[name].shape
                and ".dfl." not in name  # constants
            ]
            moved = {n for n in convolutions if not torch.equal(model[n], before[n])}
            assert moved == {n for n in convolutions if layer_of(n) not in frozen}
    fates = read_json(run.transfer)["tensors"]
    first_training = next((s["epochs"][0] - 1 for s in stages if 0 not in s["frozen"]), "end")
    assert fates["model.0.conv.weight"].get("frozen_until") == (first_training or None)


def layer_of(name: str) -> int:
    return int(name.split(".")[1])


@pytest.mark.slow
@pytest.mark.parametrize("cached", [True, False])
def test_pictures_grow_from_epoch_to_epoch(
    shapes: Path,
    small_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cached: bool,
) -> None:
    stage = replace(FREEZE.stages[0], first_size=0.5, cached=cached)
    monkeypatch.setattr(strategies, "FREEZE", replace(FREEZE, stages=(stage,)))
    seen: list[tuple[int, int]] = []
    prepare = DetectionTransferTrainer.preprocess_batch

    def preparing(trainer: Any, batch: dict[str, Any]) -> dict[str, Any]:
        found = prepare(trainer, batch)
        height, width = found["img"].shape[2:]
        grid = found["maps"][4].shape[2:] if cached else (height // 8, width // 8)
        assert tuple(grid) == (height // 8, width // 8)
        seen.append((trainer.epoch, int(width)))
        return found

    monkeypatch.setattr(DetectionTransferTrainer, "preprocess_batch", preparing)
    train(config(shapes, small_checkpoint, tmp_path / "run", epochs=3, imgsz=128, views=3))
    assert sorted(set(seen)) == [(0, 64), (1, 96), (2, 128)]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_with_and_without_files(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {"strategy": "freeze", "epochs": 3, "views": 2}
    first = train(config(shapes, small_checkpoint, tmp_path / "a", **settings)).run
    held = Budget(memory=1 << 30, disk=0)
    monkeypatch.setattr(Budget, "of_this_machine", lambda *_: held)
    second = train(config(shapes, small_checkpoint, tmp_path / "b", **settings)).run
    a, b = tensors(first.last), tensors(second.last)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.slow
def test_without_room_frozen_layers_answer_in_every_epoch(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a view was kept")

    monkeypatch.setattr(FeatureViews, "view", refuse)
    settings: dict[str, object] = {"strategy": "freeze", "epochs": 1, "cache_limit": 1e-6}
    said = Said()
    run = train(config(shapes, small_checkpoint, tmp_path / "run", **settings), said).run
    assert any("no room to keep features" in line for line in said.lines)
    before, after = tensors(small_checkpoint), tensors(run.last)
    assert torch.equal(before["model.0.conv.weight"], after["model.0.conv.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["head", "lp-ft"])
def test_kept_features_serve_float32_too(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, strategy: str
) -> None:
    settings: dict[str, object] = {"strategy": strategy, "epochs": 2, "amp": False}
    run = train(config(shapes, small_checkpoint, tmp_path / "run", **settings)).run
    assert all(bool(value.isfinite().all()) for value in tensors(run.last).values())


class StopError(Exception):
    pass


@pytest.mark.slow
def test_a_run_resumed_with_less_room_keeps_as_many_views_or_says_that_it_cannot(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {"strategy": "freeze", "epochs": 3, "views": 2}
    whole = train(config(shapes, small_checkpoint, tmp_path / "whole", **settings)).run
    save = DetectionTransferTrainer.save_state

    def cut(trainer: Any, epoch: int) -> None:
        save(trainer, epoch)
        if epoch == 0:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(DetectionTransferTrainer, "save_state", cut)
        with pytest.raises(StopError):
            train(config(shapes, small_checkpoint, tmp_path / "cut", **settings))
    with monkeypatch.context() as patch:
        patch.setattr(Budget, "views", lambda *_: (1, True))
        with pytest.raises(MachineError, match="2 views"):
            resume(tmp_path / "cut")
    monkeypatch.setattr(Budget, "views", lambda *_: (2, False))
    resumed = resume(tmp_path / "cut").run
    a, b = tensors(whole.last), tensors(resumed.last)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


class Said(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(("images", "batch"), [(1, 4), (150, 4), (205, 8), (384, 16), (5000, 16)])
def test_small_data_sets_get_small_batches(images: int, batch: int) -> None:
    assert batch_for(images, 10) == batch


@pytest.mark.parametrize(("images", "epochs", "batch"), [(20, 100, 16), (20, 20, 4), (100, 100, 4)])
def test_few_images_that_are_seen_often_get_larger_ones(
    images: int, epochs: int, batch: int
) -> None:
    assert batch_for(images, epochs) == batch


@pytest.mark.parametrize("name", ["views", "refresh", "soup"])
def test_what_is_said_of_stages_needs_some(name: str) -> None:
    settings = Settings.taken_from({name: 2, "l2_sp": 0.1})
    with pytest.raises(UsageError, match=f"{name} has no effect without a strategy"):
        settings.refuse_idle()
    Settings.taken_from({"l2_sp": 0.1}).refuse_idle()


@pytest.mark.slow
def test_a_trainer_of_ultralytics_refuses_what_has_no_effect(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    settings = {"model": str(small_checkpoint), "data": str(shapes / "data.yaml"), "soup": 2}
    trainer = DetectionTransferTrainer(overrides={**settings, "project": str(tmp_path)})
    with pytest.raises(UsageError, match="soup has no effect"):
        trainer.get_model(load_checkpoint(small_checkpoint).yaml)
