from __future__ import annotations

import numpy as np
import pytest

from detect_tl.core.images import Image
from detect_tl.curate.appearance import appearance


def scene(seed: int, width: int = 160, height: int = 120) -> Image:
    """A few large patches of colour."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return small.repeat(height // 6, axis=0).repeat(width // 8, axis=1)


def apart(a: Image, b: Image) -> float:
    return float(np.linalg.norm(appearance(a) - appearance(b)))


def test_it_has_one_length_for_all_sizes() -> None:
    assert {appearance(scene(1, *size)).shape for size in ((160, 120), (800, 600))} == {(224,)}
    assert np.isfinite(appearance(np.zeros((9, 7, 3), np.uint8))).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_same_scene_is_nearer_than_another(seed: int) -> None:
    mine, other = scene(seed), scene(seed + 100)
    variants = {
        "larger": scene(seed, 480, 360),
        "darker": (mine * 0.9).astype(np.uint8),
        "shifted": np.roll(mine, 3, axis=1),
        "noisy": np.clip(mine + np.random.default_rng(seed).normal(0, 8, mine.shape), 0, 255),
    }
    for name, variant in variants.items():
        assert apart(mine, variant.astype(np.uint8)) < apart(mine, other) / 2, name


def test_colours_and_directions_tell_pictures_apart() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    red = grey.copy()
    red[..., 2] = 255
    assert apart(grey, red) > 0.1
    bars = (np.arange(64) // 4 % 2 * 255).astype(np.uint8)
    upright = np.broadcast_to(bars[None, :, None], (64, 64, 3)).copy()
    lying = upright.swapaxes(0, 1).copy()
    assert apart(upright, lying) > 0.1
    assert apart(upright, upright.copy()) == 0
