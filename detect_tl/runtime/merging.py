"""One answer from several views of an image: tiles that overlap, and the whole picture.

What several views show comes out once. A box that ends where its tile ends may be a part of an
object: it goes where another view has the object in full, is joined with the part in the next
tile, and stays as it is only where neither is there. Overlap is measured for parts by the share of
the smaller box that lies in the larger (as in SAHI, Akyon et al. 2022), else by intersection over
union, and always within a class. Boxes of one view never compete: that view's suppression has
decided on them, and two objects close to each other stay two.
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
_PART = 0.6
"""Share of a part that must lie in a box for it to be a part of that."""
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
    pieces = _placed(views, size)
    whole = _distinct(pieces.where(pieces.cut.sum(axis=1) == 0))
    parts = pieces.where(pieces.cut.sum(axis=1) > 0)
    parts = parts.where(_inside(parts, whole).sum(axis=1) == 0)
    parts = _largest(_joined(parts))
    merged = _Pieces.together([whole, parts])
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


def _distinct(pieces: _Pieces) -> _Pieces:
    """Whole objects, best first, each of them once."""
    shared, areas = _shared(pieces, pieces), _areas(pieces)
    union = areas[:, None] + areas[None] - shared
    return _greedy(pieces, (shared > _SAME * union) & _rivals(pieces, pieces))


def _largest(parts: _Pieces) -> _Pieces:
    """Parts that lie in no larger one."""
    parts = parts.where(np.argsort(-_areas(parts), kind="stable"))
    return _greedy(parts, _inside(parts, parts).T)


def _greedy(pieces: _Pieces, beats: NDArray[np.bool_]) -> _Pieces:
    """Those that none of the survivors before them beats. beats: (n, n), row over column."""
    alive = np.ones(len(pieces), np.bool_)
    for row in range(len(pieces)):
        if alive[row]:
            alive[row + 1 :] &= ~beats[row, row + 1 :]
    return pieces.where(alive)


def _inside(parts: _Pieces, boxes: _Pieces) -> NDArray[np.bool_]:
    """(parts, boxes) whether a part is one of an object of its class in another view."""
    most = _shared(parts, boxes) > _PART * _areas(parts)[:, None]
    inside: NDArray[np.bool_] = most & _rivals(parts, boxes)
    return inside


def _joined(parts: _Pieces) -> _Pieces:
    """Parts that go on across the border of their tiles, as one with the box around them."""
    group = np.arange(len(parts))
    for a, b in _continued(parts):
        group[group == group[b]] = group[a]
    joined = [parts.where(np.zeros(0, np.int64))]
    for number in dict.fromkeys(group.tolist()):
        some = parts.where(group == number)
        around = np.concatenate([some.xyxy[:, :2].min(axis=0), some.xyxy[:, 2:].max(axis=0)])
        best = some.where(np.array([some.score.argmax()]))
        sources = [source for each in some.sources for source in each]
        joined.append(replace(best, xyxy=around[None], sources=[sources]))
    return _Pieces.together(joined)


def _continued(parts: _Pieces) -> Iterator[tuple[int, int]]:
    """Pairs of parts of which the one goes on where the other is cut."""
    pairs = np.argwhere((_shared(parts, parts) > 0) & _rivals(parts, parts))
    for a, b in pairs.tolist():
        for axis in range(2):
            # a is cut on its right (or below), and b on its left (or above).
            if parts.cut[a, axis + 2] and parts.cut[b, axis]:
                other = 1 - axis
                low_a, high_a = parts.xyxy[a, other], parts.xyxy[a, other + 2]
                low_b, high_b = parts.xyxy[b, other], parts.xyxy[b, other + 2]
                shared = min(high_a, high_b) - max(low_a, low_b)
                if shared > _BESIDE * (max(high_a, high_b) - min(low_a, low_b)):
                    yield a, b


def _rivals(a: _Pieces, b: _Pieces) -> NDArray[np.bool_]:
    """(a, b) whether two are of one class and of different views."""
    same = a.class_id[:, None] == b.class_id[None]
    rivals: NDArray[np.bool_] = same & (a.view[:, None] != b.view[None])
    return rivals


def _shared(a: _Pieces, b: _Pieces) -> NDArray[np.float32]:
    """(a, b) areas of the intersections."""
    low = np.maximum(a.xyxy[:, None, :2], b.xyxy[None, :, :2])
    high = np.minimum(a.xyxy[:, None, 2:], b.xyxy[None, :, 2:])
    shared: NDArray[np.float32] = np.clip(high - low, 0, None).prod(axis=2)
    return shared


def _areas(pieces: _Pieces) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (pieces.xyxy[:, 2:] - pieces.xyxy[:, :2]).prod(axis=1)
    return areas
