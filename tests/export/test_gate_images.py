"""Pictures for the gate: as many as wanted, of different shapes, the same each time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detect_tl.core.errors import DataError, UsageError
from detect_tl.export.gate_images import gate_images, packaged_photos


def photo(path: Path, width: int, height: int) -> Path:
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return path


def test_the_widest_and_the_tallest_are_among_them(tmp_path: Path) -> None:
    square = [photo(tmp_path / f"{k:02}.png", 50, 50) for k in range(20)]
    tall, wide = photo(tmp_path / "tall.png", 20, 90), photo(tmp_path / "wide.png", 90, 20)
    chosen = gate_images([*square, tall, wide])
    shapes = [image.pixels.shape[1] / image.pixels.shape[0] for image in chosen]
    assert len(chosen) == 8
    assert shapes == sorted(shapes)
    assert chosen[0].name == "tall.png"
    assert chosen[-1].name == "wide.png"
    assert [image.name for image in gate_images([wide, *square, tall])] == [c.name for c in chosen]


def test_crops_fill_up_where_there_are_few(tmp_path: Path) -> None:
    chosen = gate_images([photo(tmp_path / "a.png", 60, 40), photo(tmp_path / "b.png", 40, 40)])
    assert [image.name for image in chosen[:2]] == ["b.png", "a.png"]
    assert {image.pixels.shape[:2] for image in chosen} >= {(40, 60), (40, 40), (40, 30), (13, 60)}
    assert all(image.pixels.size for image in chosen)


def test_one_pixel_is_enough(tmp_path: Path) -> None:
    assert len(gate_images([photo(tmp_path / "a.png", 1, 1)])) == 4


def test_none_is_refused_and_a_broken_one_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures"):
        gate_images([])
    with pytest.raises(DataError, match=r"gone\.png"):
        gate_images([tmp_path / "gone.png"])


def test_photos_come_with_ultralytics() -> None:
    shapes = {image.pixels.shape for image in gate_images(packaged_photos())}
    assert len(shapes) >= 4
