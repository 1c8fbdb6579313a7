"""One answer from several views of an image: tiles that overlap, and the whole picture.

A box that ends where its tile ends may be a part of an object. Parts that go on in the next tile
are joined. Then the surest come first, and what lies over one of them is the same object and goes:
by intersection over union for two boxes in full, and where one is a part, by the share of the
smaller that lies in the larger (as in SAHI, Akyon et al. 2022). A part counts half as sure as a box
in full. Classes never compete, nor do boxes of one view: its own suppression has decided on them,
and two objects close to each other stay two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Size

Kind = TypeVar("Kind", bound=np.generic)

_SAME = 0.5
"""Intersection over union from which boxes of two views are one object. Lower than the threshold
within a view: two looks at one object differ more than two objects are alike."""
_INSIDE = 0.6
"""Share of the smaller box in the larger, from which they are one object if one is a part."""
_HALF = 0.5
"""How sure a part is beside a box in full, and how alike in score parts must be to be joined."""
_BESIDE = 0.5
"""Overlap of two parts along the border that cuts them, from which they are joined."""
_NEAR = 0.01
"""Distance from the border of a tile, as a share of its side, within which a box ends there."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image, pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, image: NDArray[Kind]) -> NDArray[Kind]:
        """The part of an (height, width, …) array, as a view of it."""
        return image[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Boxes of several views in pixels of the image.

    view: (n,) which view a box is of. cut: (n, 4) whether it ends at a border of its tile that is
    none of the image: left, top, right, bottom. sources: the views and rows that it is made of.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    class_id: NDArray[np.int64]
    view: NDArray[np.int64]
    cut: NDArray[np.bool_]
    sources: list[list[tuple[int, int]]]

    def __len__(self) -> int:
        return len(self.score)

    @property
    def is_part(self) -> NDArray[np.bool_]:
        ends: NDArray[np.int64] = self.cut.sum(axis=1)
        return ends > 0

    def where(self, keep: NDArray[Any]) -> _Pieces:
        """The rows that a boolean mask or an index array selects, in that order."""
        rows = np.arange(len(self))[keep].tolist()
        return _Pieces(
            self.xyxy[rows],
            self.score[rows],
            self.class_id[rows],
            self.view[rows],
            self.cut[rows],
            [self.sources[row] for row in rows],
        )

    @classmethod
    def together(cls, several: Sequence[_Pieces]) -> _Pieces:
        return cls(
            np.concatenate([each.xyxy for each in several]),
            np.concatenate([each.score for each in several]),
            np.concatenate([each.class_id for each in several]),
            np.concatenate([each.view for each in several]),
            np.concatenate([each.cut for each in several]),
            [sources for each in several for sources in each.sources],
        )


def merge_views(
    views: Sequence[tuple[Tile, Detections]], size: Size, max_det: int = 300
) -> Detections:
    """Detections of tiles, each in pixels of its tile, as those of the image, best first."""
    pieces = _joined(_placed(views, size))
    sure = pieces.score * np.where(pieces.is_part, _HALF, 1)
    merged = _distinct(pieces.where(np.argsort(-sure, kind="stable")))
    merged = merged.where(np.argsort(-merged.score, kind="stable")[:max_det])
    mask = _masks(merged, views, size) if views[0][1].mask is not None else None
    return Detections(merged.xyxy, merged.score, merged.class_id, mask)


def _masks(
    pieces: _Pieces, views: Sequence[tuple[Tile, Detections]], size: Size
) -> NDArray[np.bool_]:
    """(n, height, width) masks, each put together from those of its sources."""
    masks = np.zeros((len(pieces), size.height, size.width), np.bool_)
    for mask, sources in zip(masks, pieces.sources, strict=True):
        for view, row in sources:
            tile, found = views[view]
            if found.mask is not None:
                tile.of(mask)[...] |= found.mask[row]
    return masks


def _placed(views: Sequence[tuple[Tile, Detections]], size: Size) -> _Pieces:
    """All boxes in pixels of the image, best first."""
    boxes, cuts = [], []
    for tile, found in views:
        near = _NEAR * max(tile.right - tile.left, tile.bottom - tile.top)
        moved = found.xyxy + np.array([tile.left, tile.top] * 2, np.float32)
        low = moved[:, :2] - (tile.left, tile.top) <= near
        high = (tile.right, tile.bottom) - moved[:, 2:] <= near
        inner = np.array(
            [tile.left > 0, tile.top > 0, tile.right < size.width, tile.bottom < size.height]
        )
        boxes.append(moved)
        cuts.append(np.concatenate([low, high], axis=1) & inner)
    counts = [len(found) for _, found in views]
    pieces = _Pieces(
        np.concatenate(boxes).astype(np.float32),
        np.concatenate([found.score for _, found in views]),
        np.concatenate([found.class_id for _, found in views]),
        np.repeat(np.arange(len(views)), counts),
        np.concatenate(cuts),
        [[(view, row)] for view, count in enumerate(counts) for row in range(count)],
    )
    return pieces.where(np.argsort(-pieces.score, kind="stable"))


def _joined(pieces: _Pieces) -> _Pieces:
    """Parts that go on across the border of their tiles, as one with the box around them."""
    group = np.arange(len(pieces))
    for a, b in _continued(pieces):
        group[group == group[b]] = group[a]
    joined = [pieces.where(np.zeros(0, np.int64))]
    for number in np.unique(group):
        some = pieces.where(group == number)
        around = np.concatenate([some.xyxy[:, :2].min(axis=0), some.xyxy[:, 2:].max(axis=0)])
        best = some.where(np.array([some.score.argmax()]))
        sources = [source for each in some.sources for source in each]
        joined.append(replace(best, xyxy=around[None], sources=[sources]))
    return _Pieces.together(joined)


def _continued(pieces: _Pieces) -> Iterator[tuple[int, int]]:
    """Pairs of parts, about as sure, of which the one goes on where the other is cut."""
    cut, score = pieces.cut, pieces.score
    likely = (_shared(pieces) > 0) & _rivals(pieces) & (score[:, None] >= _HALF * score[None])
    for axis in range(2):
        # a is cut on its right (or below), and b on its left (or above).
        for a, b in np.argwhere(likely & likely.T & cut[:, None, axis + 2] & cut[None, :, axis]):
            along = pieces.xyxy[[a, b]][:, [1 - axis, 3 - axis]]
            shared = along[:, 1].min() - along[:, 0].max()
            if shared > _BESIDE * (along[:, 1].max() - along[:, 0].min()):
                yield int(a), int(b)


def _distinct(pieces: _Pieces) -> _Pieces:
    """Every object once. pieces: the surest first."""
    shared, areas, part = _shared(pieces), _areas(pieces), pieces.is_part
    union = areas[:, None] + areas[None] - shared
    inside = shared > _INSIDE * np.minimum(areas[:, None], areas[None])
    same = (shared > _SAME * union) | (inside & (part[:, None] | part[None]))
    same &= _rivals(pieces)
    alive = np.ones(len(pieces), np.bool_)
    for row in range(len(pieces)):
        if alive[row]:
            alive[row + 1 :] &= ~same[row, row + 1 :]
    return pieces.where(alive)


def _rivals(pieces: _Pieces) -> NDArray[np.bool_]:
    """(n, n) whether two are of one class and of different views."""
    same = pieces.class_id[:, None] == pieces.class_id[None]
    rivals: NDArray[np.bool_] = same & (pieces.view[:, None] != pieces.view[None])
    return rivals


def _shared(pieces: _Pieces) -> NDArray[np.float32]:
    """(n, n) areas of the intersections."""
    xyxy = pieces.xyxy
    low = np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    high = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:])
    shared: NDArray[np.float32] = np.clip(high - low, 0, None).prod(axis=2)
    return shared


def _areas(pieces: _Pieces) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (pieces.xyxy[:, 2:] - pieces.xyxy[:, :2]).prod(axis=1)
    return areas
