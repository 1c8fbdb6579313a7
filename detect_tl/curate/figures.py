"""The numbers behind the plots of a data set's report, counted on columns.

Crowds are counted with the rest: the plots show what is drawn, not what evaluation weighs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.dataset import Dataset

_GRID = 24
_MOST_SIZES = 8
_LENGTHS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
_RATIOS = (1 / 8, 1 / 4, 1 / 2, 4 / 5, 5 / 4, 2, 4, 8)
_RATIO_NAMES = ("1:8", "1:4", "1:2", "4:5", "5:4", "2:1", "4:1", "8:1")


@dataclass(frozen=True, slots=True)
class Bar:
    """label: below the bar; words: what it stands for in full, with its count."""

    label: str
    count: int
    words: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One value per plot.

    lengths: root of the area of a box against that of its image. ratios: width to height of boxes.
    per_image: images by their number of objects. sizes: images by width and height, the most
    frequent; more_sizes: how many others there are. heat: (24, 24) rows from the top, share of the
    objects (0 to 1, the fullest cell is 1) whose box covers this place of its image.
    unmeasured: objects whose box has no area in its image, which only `per_image` counts.
    """

    lengths: tuple[Bar, ...]
    ratios: tuple[Bar, ...]
    per_image: tuple[Bar, ...]
    sizes: tuple[Bar, ...]
    more_sizes: int
    heat: tuple[tuple[float, ...], ...]
    unmeasured: int


def figures(dataset: Dataset) -> Figures:
    """Measure the boxes of a data set, as far as they lie in their images."""
    table, starts = dataset.boxes()
    boxes, counts = table.box, np.diff(starts)
    sizes = np.asarray([sample.size for sample in dataset.samples], np.float64).reshape(-1, 2)
    limits = np.repeat(np.tile(sizes, 2), counts, axis=0)
    inside = np.clip(np.nan_to_num(boxes, nan=0.0, posinf=0.0, neginf=0.0), 0, limits)
    width, height = (inside[:, 2:] - inside[:, :2]).T
    kept = (width > 0) & (height > 0)
    share = width[kept] * height[kept] / (limits[kept, 0] * limits[kept, 1])
    frequent = sorted(
        Counter(sample.size for sample in dataset.samples).items(),
        key=lambda found: (-found[1], found[0]),
    )
    return Figures(
        _lengths(np.sqrt(share)),
        _ratios(width[kept] / height[kept]),
        _per_image(counts),
        tuple(
            Bar(f"{w} × {h}", n, f"{n:,} images of {w} × {h} pixels")
            for (w, h), n in frequent[:_MOST_SIZES]
        ),
        max(len(frequent) - _MOST_SIZES, 0),
        _heat(inside[kept] / limits[kept]),
        int((~kept).sum()),
    )


def _lengths(values: NDArray[np.float64]) -> tuple[Bar, ...]:
    names = [f"{edge:.0%}" for edge in _LENGTHS]
    full = _between([f"{name} of the image" for name in names], "shorter than", "longer than")
    labels = [f"<{names[0]}", *names]
    return _bars(values, _LENGTHS, labels, full)


def _ratios(values: NDArray[np.float64]) -> tuple[Bar, ...]:
    names = list(_RATIO_NAMES)
    full = _between([f"{name} (width to height)" for name in names], "below", "above")
    # A bar is named by the edge that is nearer to a square.
    labels = [f"<{names[0]}", *names[1:4], "1:1", *names[4:7], f">{names[7]}"]
    return _bars(values, _RATIOS, labels, full)


def _between(names: Sequence[str], below: str, above: str) -> Iterator[str]:
    yield f"{below} {names[0]}"
    yield from (f"{a.partition(' ')[0]} to {b}" for a, b in pairwise(names))
    yield f"{above} {names[-1]}"


def _bars(
    values: NDArray[np.float64],
    edges: Sequence[float],
    labels: Sequence[str],
    full: Iterator[str],
) -> tuple[Bar, ...]:
    places = np.searchsorted(np.asarray(edges), values, side="right")
    found = np.bincount(places, minlength=len(edges) + 1).tolist()
    return tuple(
        Bar(label, count, f"{count:,} objects {words}")
        for label, count, words in zip(labels, found, full, strict=True)
    )


def _per_image(counts: NDArray[np.int64]) -> tuple[Bar, ...]:
    """0, 1, 2, 3–4, 5–8, …: steps that double, up to the last that has images."""
    if not len(counts):
        return ()
    last = int(counts.max())
    edges = [0, 1, 2, *(2**k for k in range(2, math.ceil(math.log2(max(last, 3))) + 1))]
    bars, below = [], -1
    for edge in edges:
        if below >= last:
            break
        n = int(((counts > below) & (counts <= edge)).sum())
        label = f"{edge}" if edge == below + 1 else f"{below + 1}–{edge}"
        bars.append(Bar(label, n, f"{n:,} images with {label} objects"))
        below = edge
    return tuple(bars)


def _heat(boxes: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """How many boxes cover each cell; boxes in shares of the image.

    Summed by the corners: each adds a rectangle, and all are filled in one pass over the grid.
    """
    side = _GRID + 1
    corners = np.zeros(side * side)
    x1, y1 = np.floor(boxes[:, :2] * _GRID).astype(int).T
    x2, y2 = np.ceil(boxes[:, 2:] * _GRID).astype(int).T
    for sign, rows, columns in ((1, y1, x1), (-1, y1, x2), (-1, y2, x1), (1, y2, x2)):
        corners += sign * np.bincount(rows * side + columns, minlength=side * side)
    covered = corners.reshape(side, side).cumsum(axis=0).cumsum(axis=1)[:_GRID, :_GRID]
    return tuple(tuple(row) for row in (covered / max(covered.max(), 1)).tolist())
