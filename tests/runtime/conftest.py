"""Fixtures of the runtime: a model with exact answers, and pictures that it understands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.images import Image
from tests.runtime.colour_model import colour_model


@pytest.fixture(scope="session")
def detect_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_model(tmp_path_factory.mktemp("models") / "colours.onnx")


@pytest.fixture(scope="session")
def segment_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_model(tmp_path_factory.mktemp("models") / "colours-seg.onnx", task="segment")


def picture(width: int, height: int, *cells: tuple[int, int, int, int, str]) -> Image:
    """A black BGR picture with rectangles x1, y1, x2, y2 in "red", "green" or "blue"."""
    image = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2, colour in cells:
        image[y1:y2, x1:x2, ("blue", "green", "red").index(colour)] = 255
    return image
