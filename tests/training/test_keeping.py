"""Runs that keep old classes, or learn from several data sets: small, but whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detect_tl.core.errors import UsageError
from detect_tl.core.files import read_json
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.training.config import TrainConfig
from detect_tl.training.coverage import read_coverage
from detect_tl.training.run import resume, train
from tests.training.test_run import config, tensors


@pytest.mark.slow
def test_old_classes_come_first_and_frozen_layers_and_statistics_stay(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    settings = config(
        shapes, small_checkpoint, tmp_path / "run", strategy="freeze", keep_classes=("class 7",)
    )
    run = train(settings).run
    last = load_checkpoint(run.last)
    assert last.names == ("class 7", "disc", "square")
    assert set(read_json(run.transfer)["classes"]["reused"]) == {"class 7"}
    before, after = tensors(small_checkpoint), tensors(run.last)
    for name in after:
        frozen = int(name.split(".")[1]) <= 10
        if frozen or "running_" in name:
            assert torch.equal(before[name], after[name]), name
    neck = [name for name in after if name.startswith("model.13.") and name.endswith("weight")]
    assert not any(torch.equal(before[name], after[name]) for name in neck)
    covered = read_coverage(run.dataset(), "train", "detect", last.names)
    assert {coverage.open for coverage in covered.values()} == {(0,)}


@pytest.mark.slow
def test_a_run_with_a_teacher_resumes_to_the_same_bits(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings(name: str) -> TrainConfig:
        return config(
            shapes, small_checkpoint, tmp_path / name, keep_classes=("class 7", "class 3"), epochs=2
        )

    whole = train(settings("whole")).run
    from detect_tl.training.engine import DetectionTransferTrainer

    save = DetectionTransferTrainer.save_model

    def killed(self: DetectionTransferTrainer) -> bool:
        save(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(DetectionTransferTrainer, "save_model", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings("broken"))
    monkeypatch.undo()
    again = resume(tmp_path / "broken").run
    one, other = tensors(whole.last), tensors(again.last)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"replay": "old"}, "keep_classes"),
        ({"yardstick": "old"}, "keep_classes"),
        ({"teach": 2.0}, "teach"),
        ({"keep_classes": ("horse",)}, "horse"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        train(config(shapes, small_checkpoint, tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()
