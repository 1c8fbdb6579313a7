"""What training sees: the augmentation, in place of Ultralytics' own, the same bits every time."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detect_tl.augment.find import find_augmentation
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.errors import UsageError
from detect_tl.core.files import read_json
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.models.yolo import Instances
from detect_tl.training import engine
from detect_tl.training.augmentation import Augment, ultralytics_settings
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.run import resume, train
from tests.training.conftest import shapes, small_checkpoint  # noqa: F401  # fixtures

SIDE = 96


def labels(*, outlines: bool) -> dict[str, Any]:
    """A picture as Ultralytics hands it over: two white rectangles on black."""
    boxes = np.asarray([[10, 20, 40, 60], [50, 30, 90, 50]], np.float32)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x1, y1, x2, y2 in boxes.astype(int):
        image[y1:y2, x1:x2] = 255
    corners = [[[a, b], [c, b], [c, d], [a, d]] for a, b, c, d in boxes]
    rings = [np.repeat(np.asarray(ring, np.float32), 250, axis=0) for ring in corners]
    segments = np.stack(rings) if outlines else np.zeros((0, 1000, 2), np.float32)
    return {
        "img": image,
        "cls": np.asarray([[1], [0]], np.float32),
        "instances": Instances(boxes, segments, bbox_format="xyxy", normalized=False),
    }


def seen(augment: Augment, seed: int, *, outlines: bool = True) -> dict[str, Any]:
    random.seed(seed)
    return augment(labels(outlines=outlines))


@pytest.mark.parametrize("outlines", [True, False])
def test_labels_stay_on_the_picture(outlines: bool) -> None:
    flip = Augmentation("flip", steps=(Step("HorizontalFlip", {"p": 1}),))
    out = seen(Augment(flip, SIDE), 0, outlines=outlines)
    boxes = out["instances"].bboxes
    assert out["cls"].tolist() == [[1], [0]]
    assert boxes == pytest.approx(np.asarray([[56, 20, 86, 60], [6, 30, 46, 50]]), abs=1e-3)
    for x1, y1, x2, y2 in np.rint(boxes).astype(int):
        assert (out["img"][y1:y2, x1:x2] == 255).all()
    segments = out["instances"].segments
    assert segments.shape == ((2, 1000, 2) if outlines else (0, 1000, 2))
    if outlines:
        assert np.concatenate([segments.min(axis=1), segments.max(axis=1)], axis=1) == (
            pytest.approx(boxes, abs=1e-3)
        )


def test_a_picture_stays_as_large_as_the_batch_needs_it() -> None:
    crop = Augmentation("crop", steps=(Step("RandomCrop", {"height": 60, "width": 40, "p": 1}),))
    for seed in range(4):
        out = seen(Augment(crop, SIDE), seed)
        assert out["img"].shape == (SIDE, SIDE, 3)
        count = len(out["cls"])
        assert out["instances"].bboxes.shape == (count, 4)
        assert len(out["instances"].segments) == count


def test_the_state_of_the_global_generator_decides() -> None:
    heavy = find_augmentation("heavy")
    first, again = seen(Augment(heavy, SIDE), 5), seen(Augment(heavy, SIDE), 5)
    assert (first["img"] == again["img"]).all()
    assert (first["instances"].segments == again["instances"].segments).all()
    others = [seen(Augment(heavy, SIDE), seed)["img"] for seed in range(6, 12)]
    assert any((first["img"] != other).any() for other in others)


def test_a_picture_without_objects_passes() -> None:
    given = labels(outlines=False)
    given["cls"] = np.zeros((0, 1), np.float32)
    given["instances"] = Instances(
        np.zeros((0, 4), np.float32),
        np.zeros((0, 1000, 2), np.float32),
        bbox_format="xyxy",
        normalized=False,
    )
    out = Augment(find_augmentation("heavy"), SIDE)(given)
    assert out["cls"].shape == (0, 1)
    assert out["instances"].bboxes.shape == (0, 4)


def test_what_ultralytics_leaves_to_an_augmentation() -> None:
    assert ultralytics_settings(None) == {}
    beside = ultralytics_settings(find_augmentation("light"))
    assert beside == dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "fliplr", "flipud"), 0)
    alone = ultralytics_settings(find_augmentation("none"))
    assert alone["mosaic"] == alone["scale"] == alone["translate"] == alone["fliplr"] == 0


def config(data: Path, weights: Path, out: Path, **more: object) -> TrainConfig:
    values = {"epochs": 2, "imgsz": 64, "batch": 4, "device": "cpu", "workers": 0, **more}
    return TrainConfig.parse({"data": data, "weights": str(weights), "out": out, **values})


class Stop(Exception):  # noqa: N818  # ends a run in the middle, as a power cut does
    pass


@pytest.mark.slow
def test_a_run_sees_the_augmentation_and_resumes_to_the_same_bits(
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Red pictures come out of the file's only step, so they show that training saw it."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "- HorizontalFlip\n- Affine: {rotate: [-20, 20], p: 0.8}\n- GaussNoise: {p: 0.5}\n"
        "- ChannelDropout: {channel_drop_range: [1, 1], p: 1}\n"
    )
    fed: list[tuple[int, bool]] = []
    augmented, settings = Augment.__call__, {"augment": str(file), "close_mosaic": 1}

    def watched(self: Augment, given: dict[str, Any]) -> dict[str, Any]:
        out = augmented(self, given)
        empty = [not out["img"][..., channel].any() for channel in range(3)]
        fed.append((out["img"].shape[0], any(empty)))
        return out

    monkeypatch.setattr(Augment, "__call__", watched)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(config(shapes, small_checkpoint, whole, **settings))
    assert fed == [(64, True)] * 12 * 2  # every training picture of every epoch, no other

    save = engine._Transfer.save_state

    def cut(self: Any, epoch: int) -> None:
        save(self, epoch)
        if epoch == 0:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(engine._Transfer, "save_state", cut)
        with pytest.raises(Stop):
            train(config(shapes, small_checkpoint, killed, **settings))
    file.write_text("- InvertImg: {p: 1}\n")  # a run keeps what it began with
    resume(killed)
    runs = [load_checkpoint(RunFolder(p).last).model.state_dict() for p in (whole, killed)]
    assert [name for name in runs[0] if not torch.equal(runs[0][name], runs[1][name])] == []
    assert read_json(killed / "config.json")["augment"] == str(file)
    assert "ChannelDropout" in (killed / "augmentation.yaml").read_text()
    assert read_json(killed / "environment.json")["packages"]["albumentations"]


@pytest.mark.slow
def test_none_trains_on_the_pictures_as_they_are(
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[torch.Tensor] = []
    prepare = engine.DetectionTrainer.preprocess_batch

    def watched(self: Any, batch: dict[str, Any]) -> Any:
        order = np.argsort([os.path.basename(name) for name in batch["im_file"]])  # noqa: PTH119
        batches.append(batch["img"][torch.as_tensor(order)].clone())
        return prepare(self, batch)

    monkeypatch.setattr(engine.DetectionTrainer, "preprocess_batch", watched)
    settings = {"augment": "none", "batch": 12, "strategy": "full"}
    train(config(shapes, small_checkpoint, tmp_path / "run", **settings))
    assert len(batches) == 2
    assert torch.equal(batches[0], batches[1])


def test_a_wrong_name_is_refused_before_anything_is_written(
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="unknown augmentation 'lite'"):
        train(config(shapes, small_checkpoint, tmp_path / "run", augment="lite"))
    assert not (tmp_path / "run").exists()
