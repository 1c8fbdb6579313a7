"""What a picture looks like, as a vector, where no network is at hand to say it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.images import Image

_SIDE, _CELLS, _ANGLES = 64, 4, 8


def appearance(image: Image) -> NDArray[np.float64]:
    """Colours and edges in a grid of 4x4 cells: near vectors are pictures that look alike.

    image: (height, width, 3) BGR, squeezed to a square of 64 pixels. Returns (224,): of every cell
    mean and spread of L, a and b (CIELAB, in shares of their range), and how much gradient there is
    in each of 8 directions (as in histograms of oriented gradients, Dalal and Triggs 2005).
    """
    import cv2

    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB).astype(np.float64) / 255
    dy, dx = np.gradient(lab[..., 0])
    angle = (np.arctan2(dy, dx) % np.pi * (_ANGLES / np.pi)).astype(np.int64) % _ANGLES
    edges = np.hypot(dx, dy)[..., None] * (angle[..., None] == np.arange(_ANGLES))
    cells = _in_cells(lab)
    parts = cells.mean(axis=1), cells.std(axis=1), _in_cells(edges).mean(axis=1)
    return np.concatenate([part.reshape(-1) for part in parts])


def _in_cells(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(64, 64, c) to (16 cells, pixels, c)."""
    side = _SIDE // _CELLS
    grid = values.reshape(_CELLS, side, _CELLS, side, -1).swapaxes(1, 2)
    return grid.reshape(_CELLS * _CELLS, side * side, -1)
