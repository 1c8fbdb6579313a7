"""What a backbone makes of pictures, against a model that is watched from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.models.embedding import BackboneFeatures
from tests.training.conftest import write_checkpoint


@pytest.mark.parametrize(("name", "last"), [("yolov8n", 9), ("yolo11n", 10)])
def test_it_is_the_mean_of_the_last_layer_of_the_backbone(
    name: str, last: int, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / f"{name}.pt", name)
    batch = np.random.default_rng(0).random((2, 3, 64, 96), np.float32)
    found = BackboneFeatures(path, device="cpu")(batch)
    model = load_checkpoint(path).model
    seen: list[torch.Tensor] = []
    model.model[last].register_forward_hook(lambda _module, _given, answer: seen.append(answer))
    with torch.inference_mode():
        model(torch.from_numpy(batch))
    assert found.shape == (2, 256)
    assert found.dtype == np.float64
    assert np.allclose(found, seen[0].mean(dim=(2, 3)).numpy(), atol=1e-6)
    alone = BackboneFeatures(path, device="cpu")(batch[:1])
    assert np.allclose(alone, found[:1], atol=1e-5)
