"""Rounds of a soup begin alike, end in an average, and are each what a run alone would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from detect_tl.core.errors import UsageError
from detect_tl.core.files import read_json
from detect_tl.training.engine import DetectionTransferTrainer
from detect_tl.training.folder import RunFolder
from detect_tl.training.plan import strategy_of
from detect_tl.training.run import resume, train
from detect_tl.training.staging import Staging
from detect_tl.training.trainer import Conduct
from detect_tl.transfer.stages import plan_stages
from tests.training.conftest import write_checkpoint
from tests.training.test_run import config, is_frozen, tensors

pytestmark = pytest.mark.slow

State = dict[str, torch.Tensor]


class Seen:
    """What the trainings of a test went through, epoch by epoch.

    began: weights before the first step. ended: the average of the epoch's own round.
    mosaics: whether pictures were put together. shares: of the many-boxes head in the loss.
    """

    def __init__(self) -> None:
        self.began: list[State] = []
        self.ended: list[State] = []
        self.mosaics: list[bool] = []
        self.shares: list[float] = []


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    start, save = Staging.begin_batch, DetectionTransferTrainer.save_state

    def beginning(staging: Any, epoch: int) -> None:
        if len(found.began) == len(found.ended):
            model = staging._trainer.model
            found.began.append(_copied(model))
            mosaic = staging.live.dataset.transforms.transforms[0].transforms[0]
            found.mosaics.append(mosaic.p > 0)
            found.shares.append(getattr(getattr(model, "criterion", None), "o2m", 1.0))
        start(staging, epoch)

    def saving(trainer: Any, epoch: int) -> None:
        if epoch >= 0:
            found.ended.append(_copied(trainer.ema.ema))
        save(trainer, epoch)

    monkeypatch.setattr(Staging, "begin_batch", beginning)
    monkeypatch.setattr(DetectionTransferTrainer, "save_state", saving)
    return found


def _copied(model: Any) -> State:
    return {name: value.cpu().clone() for name, value in model.state_dict().items()}


def different(a: State, b: State) -> list[str]:
    return [name for name in a if not torch.equal(a[name].float(), b[name].float())]


@pytest.mark.parametrize("strategy", ["full", "gradual"])
def test_rounds_begin_alike_and_end_in_their_mean(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, seen: Seen, strategy: str
) -> None:
    settings: dict[str, Any] = {"strategy": strategy, "amp": False, "lr": 0.002}
    train(config(shapes, small_checkpoint, tmp_path / "alone", epochs=3, **settings))
    alone = seen.ended.copy()
    run = train(
        config(shapes, small_checkpoint, tmp_path / "run", epochs=6, soup=2, **settings)
    ).run
    assert [different(a, b) for a, b in zip(alone, seen.ended[3:6], strict=True)] == [[], [], []]
    assert different(seen.began[3], seen.began[6]) == []
    one, other = seen.ended[5], seen.ended[8]
    assert different(one, other)  # pictures come in another order
    for name, value in tensors(run.last).items():
        if value.is_floating_point():
            mean = (one[name] + other[name]) / 2
            assert torch.allclose(value.float(), mean, rtol=1e-3, atol=1e-6), name  # 16 bits


def test_what_never_trains_keeps_every_bit(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"strategy": "freeze", "epochs": 3, "soup": 3}
    run = train(config(shapes, small_checkpoint, tmp_path / "run", **settings)).run
    before, after = tensors(small_checkpoint), tensors(run.last)
    frozen = [name for name in before if is_frozen(name, 11)]
    assert [name for name in frozen if not torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("ended", [2, 3])
def test_a_run_that_was_interrupted_ends_the_same(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, ended: int
) -> None:
    """Between two rounds, and in the second."""

    def dies(epoch: int, _: object) -> bool:
        if epoch == ended:
            raise KeyboardInterrupt
        return True

    settings: dict[str, Any] = {"strategy": "gradual", "epochs": 4, "soup": 2, "l2_sp": 5.0}
    whole = train(config(shapes, small_checkpoint, tmp_path / "whole", **settings)).run
    stopped = config(shapes, small_checkpoint, tmp_path / "stopped", **settings)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, conduct=Conduct(dies))
    resume(stopped.out)
    run = RunFolder(stopped.out)
    assert different(tensors(whole.last), tensors(run.last)) == []
    assert different(tensors(whole.best), tensors(run.best)) == []


def test_every_round_closes_its_mosaics(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, seen: Seen
) -> None:
    settings: dict[str, Any] = {"strategy": "full", "epochs": 6, "close_mosaic": 1}
    train(config(shapes, small_checkpoint, tmp_path / "run", soup=2, **settings))
    assert seen.mosaics == [True, True, False] * 2


def test_every_round_weighs_the_heads_of_yolo26_anew(
    shapes: Path, tmp_path: Path, seen: Seen
) -> None:
    two_heads = write_checkpoint(tmp_path / "yolo26n.pt", "yolo26n")
    train(config(shapes, two_heads, tmp_path / "run", strategy="full", epochs=6, soup=2))
    assert seen.shares == pytest.approx([0.8, 0.45, 0.1] * 2)


def test_patience_begins_anew(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round never gets better, and ends; the second one has its own three epochs."""
    monkeypatch.setattr(DetectionTransferTrainer, "validate", lambda _: ({}, 0.5))
    settings: dict[str, Any] = {"strategy": "full", "epochs": 12, "patience": 4, "soup": 4}
    result = train(config(shapes, small_checkpoint, tmp_path / "run", **settings))
    assert result.epochs == 12


def test_plan_and_folder_tell_of_it(shapes: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    settings = config(
        shapes, small_checkpoint, tmp_path / "run", strategy="lp-ft", epochs=4, soup=2
    )
    run = train(settings).run
    written = read_json(run.strategy)
    assert written["rounds"] == 2
    assert [stage["round"] for stage in written["stages"]] == [1, 1, 2, 2]
    assert run.config().soup == 2
    assert any("2 rounds from the same start" in reason for reason in written["reasons"])
    architecture = {"backbone": [], "head": []}
    with pytest.raises(UsageError, match="4 epochs cannot be shared by a soup of 5"):
        plan_stages(strategy_of(settings), 4, architecture, rounds=5)


def test_what_cannot_be_averaged_is_refused(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    for settings, text in (
        ({"strategy": "scratch", "epochs": 4}, "begins with random numbers"),
        ({"epochs": 1}, "1 epoch cannot be shared"),
        ({"epochs": 0}, "no epochs in which anything could train"),
    ):
        with pytest.raises(UsageError, match=text):
            train(config(shapes, small_checkpoint, tmp_path / "run", soup=2, **settings))
        assert not (tmp_path / "run").exists()
