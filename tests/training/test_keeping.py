"""Runs that keep old classes, or learn from several data sets: small, but whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from detect_tl.core.errors import UsageError
from detect_tl.core.files import read_json
from detect_tl.core.model_spec import Task
from detect_tl.core.progress import Silent
from detect_tl.models.branch import branches
from detect_tl.models.checkpoint import load_checkpoint, same_tensors
from detect_tl.training.beginning import begin
from detect_tl.training.config import TrainConfig
from detect_tl.training.coverage import read_coverage
from detect_tl.training.keeping import join_kept
from detect_tl.training.run import resume, train
from tests.training.conftest import write_checkpoint
from tests.training.test_run import config, tensors


@pytest.fixture
def outlined(shapes: Path, tmp_path: Path) -> Path:
    """The same, with the corners of every box as an outline."""
    data = shutil.copytree(shapes, tmp_path / "polygons")
    for path in (data / "labels").rglob("*.txt"):
        rows = []
        for line in path.read_text().splitlines():
            label, x, y, width, height = line.split()
            left, right = (float(x) + sign * float(width) / 2 for sign in (-1, 1))
            top, low = (float(y) + sign * float(height) / 2 for sign in (-1, 1))
            rows.append(f"{label} {left} {top} {right} {top} {right} {low} {left} {low}\n")
        path.write_text("".join(rows))
    return data


@pytest.mark.slow
def test_old_classes_come_first_and_frozen_layers_and_statistics_stay(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    settings = config(
        shapes,
        small_checkpoint,
        tmp_path / "run",
        strategy="freeze",
        keep_classes=("class 7",),
        keep_by="distil",
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
@pytest.mark.parametrize("way", ["branch", "distil"])
def test_a_run_that_keeps_classes_resumes_to_the_same_bits(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def settings(name: str) -> TrainConfig:
        return config(
            shapes,
            small_checkpoint,
            tmp_path / name,
            keep_classes=("class 7", "class 3"),
            keep_by=way,
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
    assert same_tensors(whole.last, again.last)
    assert same_tensors(whole.best, again.best)


@pytest.mark.slow
def test_kept_classes_have_their_old_layers_to_the_bit(
    shapes: Path, checkpoint: Path, tmp_path: Path
) -> None:
    run = train(config(shapes, checkpoint, tmp_path / "run", keep_classes=("all",))).run
    first, best, last = map(load_checkpoint, (checkpoint, run.best, run.last))
    assert best.names == last.names == (*first.names, "disc", "square")
    assert (branches(best.model), branches(last.model)) == (2, 1)
    before, after, trained = (each.model.state_dict() for each in (first, best, last))
    head = len(first.model.model) - 1
    for name, value in before.items():
        if int(name.split(".")[1]) < head:
            assert torch.equal(after[name], value), name
    changed = {name for name in before if not torch.equal(before[name], trained.get(name, value))}
    assert "model.0.conv.weight" not in changed
    assert any(10 < int(name.split(".")[1]) < head for name in changed)
    # found by nobody but the old layers, and at the same places
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        old, new = (model(images)[1] for model in (first.model, best.model))
    if "one2many" in old:
        old, new = old["one2one"], new["one2one"]
    anchors = old["boxes"].shape[2]
    assert torch.allclose(new["boxes"][:, :, :anchors], old["boxes"], rtol=1e-4, atol=1e-4)
    kept = new["scores"][:, :80]
    assert torch.allclose(kept[:, :, :anchors], old["scores"], rtol=1e-4, atol=1e-4)
    assert kept[:, :, anchors:].max() < -11
    assert new["scores"][:, 80:, :anchors].max() < -11
    assert "kept classes have their own layers" in " ".join(read_json(run.strategy)["reasons"])


@pytest.mark.slow
def test_layers_are_put_beside_others_once(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    """A run that ends between that and its last word does it again when it goes on."""
    settings = config(
        shapes, small_checkpoint, tmp_path / "run", epochs=1, keep_classes=("class 7",)
    )
    run = train(settings).run
    written = run.best.read_bytes()
    join_kept(run, run.config())
    assert run.best.read_bytes() == written


@pytest.mark.slow
def test_a_model_with_branches_can_be_trained_on(
    shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    """New classes are learned by every branch that is trained; kept ones by a third."""
    two = train(
        config(shapes, small_checkpoint, tmp_path / "two", epochs=1, keep_classes=("class 7",))
    ).run
    on = train(config(shapes, two.best, tmp_path / "on", epochs=1)).run
    assert branches(load_checkpoint(on.best).model) == 2
    assert load_checkpoint(on.best).names == ("disc", "square")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"replay": "old"}, "keep_classes"),
        ({"keep_by": "distil"}, "keep_classes"),
        ({"replay": "old", "keep_classes": ("class 7",)}, "distil"),
        ({"teach": 2.0, "keep_classes": ("class 7",)}, "teach"),
        ({"strategy": "scratch", "keep_classes": ("class 7",)}, "scratch"),
        ({"freeze": "none", "keep_classes": ("class 7",)}, "none does"),
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


@pytest.mark.parametrize(("task", "source"), [("auto", "segment"), ("segment", "detect")])
def test_masks_are_not_made_by_branches(
    outlined: Path, tmp_path: Path, task: str, source: Task
) -> None:
    name = "yolo11n-seg" if source == "segment" else "yolo11n"
    weights = write_checkpoint(tmp_path / "weights.pt", name, task=source)
    settings = config(outlined, weights, tmp_path / "run", task=task, keep_classes=("class 7",))
    with pytest.raises(UsageError, match="segmenter"):
        train(settings)
    assert not (tmp_path / "run").exists()


def test_a_detector_stays_one_whatever_was_drawn(outlined: Path, tmp_path: Path) -> None:
    weights = write_checkpoint(tmp_path / "weights.pt", "yolo11n")
    settings = config(outlined, weights, tmp_path / "run", keep_classes=("class 7",))
    _, resolved, _ = begin(settings, Silent())
    assert resolved.task == "detect"
