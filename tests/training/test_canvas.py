"""Training pictures are no larger than what they show."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image

from detect_tl.training.canvas import canvas_of, shrunk
from detect_tl.training.engine import DetectionTransferTrainer
from detect_tl.training.run import train
from tests.training.test_run import config

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def data_of(shapes: list[tuple[int, int]], imgsz: int) -> SimpleNamespace:
    return SimpleNamespace(imgsz=imgsz, labels=[{"shape": shape} for shape in shapes])


@given(st.lists(sizes, min_size=1), st.integers(1, 40), st.sampled_from([32, 64]))
def test_every_picture_fits_and_no_smaller_canvas_would_do(
    shapes: list[tuple[int, int]], blocks: int, stride: int
) -> None:
    imgsz = 64 * blocks
    canvas = canvas_of(data_of(shapes, imgsz), stride)
    scaled = [(w * imgsz / max(h, w), h * imgsz / max(h, w)) for h, w in shapes]
    for side, needed in zip(canvas, map(max, zip(*scaled, strict=True)), strict=True):
        assert side % stride == 0
        assert side - stride < needed + 1e-6
        assert needed <= side + 1e-6
    assert max(canvas) == imgsz


@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    share=st.floats(0.2, 1),
    stride=st.sampled_from([2, 4]),
)
def test_small_pictures_have_whole_strides_and_the_same_mean(
    height: int, width: int, share: float, stride: int
) -> None:
    full = height * stride, width * stride
    ramp = torch.linspace(0, 1, full[1]).expand(1, 3, *full)
    found = shrunk(ramp, share, stride)
    for side, before in zip(found.shape[2:], full, strict=True):
        assert side % stride == 0
        assert side - stride < share * before <= side + 1e-9
    assert float(found.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(found.std(dim=2).max()) == pytest.approx(0, abs=1e-5) or found.shape[2] == 1


def _cropped(shapes: Path, to: Path, high: float) -> Path:
    """The same pictures, of which only a part from the top is left."""
    shutil.copytree(shapes, to)
    for file in (to / "images").rglob("*.png"):
        image = Image.open(file)
        image.crop((0, 0, image.width, int(image.height * high))).save(file)
    return to


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["freeze", "full"])
def test_a_run_trains_on_pictures_of_their_own_shape(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, strategy: str, spied: set[Any]
) -> None:
    wide = _cropped(shapes, tmp_path / "wide", 0.5)
    train(config(wide, small_checkpoint, tmp_path / "run", strategy=strategy))
    assert spied == {(32, 64)}


@pytest.mark.slow
def test_an_augmentation_that_may_turn_pictures_keeps_the_square(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, spied: set[Any]
) -> None:
    wide = _cropped(shapes, tmp_path / "wide", 0.5)
    preset = {"strategy": "freeze", "epochs": 1, "augment": "aerial"}
    train(config(wide, small_checkpoint, tmp_path / "run", **preset))
    assert spied == {(64, 64)}


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """Collects (height, width) of the pictures of training batches."""
    seen: set[Any] = set()
    inner = DetectionTransferTrainer.preprocess_batch

    def spy(trainer: Any, batch: dict[str, Any]) -> dict[str, Any]:
        seen.add(tuple(batch["img"].shape[2:]))
        return inner(trainer, batch)

    monkeypatch.setattr(DetectionTransferTrainer, "preprocess_batch", spy)
    return seen
