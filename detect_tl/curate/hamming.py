"""Finding all pairs of bit strings that differ little, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]

# Rows that are compared with as many others in one go: 4 million distances, 16 MB.
_TILE = 2048
# Pairs that are looked at closely in one go: 64 MB of bits.
_BLOCK = 1 << 17


def components(coarse: NDArray[np.bool_], fine: NDArray[np.bool_], most: int, finest: int) -> Index:
    """(N,) a number per row, equal for rows that are joined by a chain of alike ones.

    coarse: (N, A) and fine: (N, B) bits. Two rows are alike when they differ in at most `most`
    coarse and `finest` fine bits. Exact; memory grows with N and not with the number of pairs.
    """
    joined = _Components(len(coarse))
    signs = np.where(coarse, np.float32(1), np.float32(-1))
    for rows in _buckets(coarse, most + 1):
        for here, there in _tiles(rows):
            if joined.is_one(here, there):
                continue
            for pair in _close_pairs(signs, here, there, most):
                a, b = joined.apart(*pair)
                near = (fine[a] != fine[b]).sum(axis=1) <= finest
                joined.join(a[near], b[near])
    return joined.labels()


def _buckets(bits: NDArray[np.bool_], chunks: int) -> Iterator[Index]:
    """Groups of rows among which all close pairs are found.

    Two strings that differ in fewer than `chunks` bits agree in at least one of as many pieces
    (multi-index hashing; Norouzi, Punjani and Fleet, 2012).
    """
    for piece in np.array_split(np.arange(bits.shape[1]), chunks):
        weights = 1 << np.arange(len(piece), dtype=np.int64)
        keys = bits[:, piece] @ weights
        order = np.argsort(keys, kind="stable")
        edges = np.flatnonzero(np.diff(keys[order])) + 1
        for rows in np.split(order, edges):
            if len(rows) > 1:
                yield rows


def _tiles(rows: Index) -> Iterator[tuple[Index, Index]]:
    """Stretches of rows that together meet each pair once."""
    parts = np.split(rows, range(_TILE, len(rows), _TILE))
    for place, here in enumerate(parts):
        for there in parts[place:]:
            yield here, there


def _close_pairs(
    signs: NDArray[np.float32], here: Index, there: Index, most: int
) -> Iterator[tuple[Index, Index]]:
    """Pairs of a row of `here` and one of `there` that differ in at most `most` bits, in blocks.

    Of strings of signs, the product is the number of equal bits less that of different ones.
    """
    least = signs.shape[1] - 2 * most
    a, b = np.nonzero(signs[here] @ signs[there].T >= least)
    for start in range(0, len(a), _BLOCK):
        yield here[a[start : start + _BLOCK]], there[b[start : start + _BLOCK]]


class _Components:
    """Joins rows, and keeps no more than a block of links."""

    def __init__(self, count: int) -> None:
        self._labels: Index = np.arange(count)
        self._links: list[Index] = []
        self._waiting = 0

    def is_one(self, here: Index, there: Index) -> bool:
        """Whether all these rows are joined already."""
        label = self._labels[here[0]]
        return bool((self._labels[here] == label).all() and (self._labels[there] == label).all())

    def apart(self, a: Index, b: Index) -> tuple[Index, Index]:
        """The pairs that are not joined yet, as far as is known."""
        new = self._labels[a] != self._labels[b]
        return a[new], b[new]

    def join(self, a: Index, b: Index) -> None:
        if not len(a):
            return
        self._links.append(np.stack([self._labels[a], self._labels[b]]))
        self._waiting += len(a)
        if self._waiting >= _BLOCK // 4:
            self._settle()

    def labels(self) -> Index:
        self._settle()
        return self._labels

    def _settle(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._waiting:
            return
        a, b = np.concatenate(self._links, axis=1)
        count = len(self._labels)
        graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(count, count))
        _, found = connected_components(graph, directed=False)
        self._labels = found[self._labels].astype(np.int64)
        self._links, self._waiting = [], 0
