"""Very many samples in few arrays, for what looks at their boxes and not at their masks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import Index, InstanceTable, Rows, gathered, stacked
from detect_tl.core.dataset import SPLITS, Sample
from detect_tl.core.geometry import Size


@dataclass(frozen=True, eq=False)
class SampleColumns(Sequence[Sample]):
    """S samples, which are made when they are asked for. Headers are left out.

    paths: of the images, one behind the other, as bytes; path_ends: (S + 1,) where they begin.
    sizes: (S, 2) width and height, pixels. splits: (S,) index into SPLITS, -1 for none.
    annotations: files; annotation: (S,) index into them, -1 for none.
    table: the objects. starts: (S + 1,) where those of a sample begin.
    """

    paths: bytes
    path_ends: Index
    sizes: NDArray[np.int32]
    splits: NDArray[np.int8]
    annotations: Sequence[Path]
    annotation: NDArray[np.int32]
    table: InstanceTable
    starts: Index

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> SampleColumns:
        """The samples with their boxes, without masks, attributes and what was not looked for."""
        table, starts = gathered([sample.instances for sample in samples], masks=False)
        raw = [os.fsencode(sample.image) for sample in samples]
        files: dict[Path | None, int] = {None: -1}
        for sample in samples:
            files.setdefault(sample.annotation, len(files) - 1)
        return cls(
            b"".join(raw),
            _ends([len(path) for path in raw]),
            np.asarray([s.size for s in samples], dtype=np.int32).reshape(-1, 2),
            np.asarray([SPLITS.index(s.split) if s.split else -1 for s in samples], dtype=np.int8),
            [path for path in files if path is not None],
            np.asarray([files[s.annotation] for s in samples], dtype=np.int32),
            replace(table, attributes={}),
            starts,
        )

    def renumbered(self, target: Sequence[int]) -> SampleColumns:
        """The same samples, with category k become `target[k]`."""
        return replace(self, table=self.table.renumbered(target))

    def __len__(self) -> int:
        return len(self.splits)

    def __iter__(self) -> Iterator[Sample]:
        return map(self._sample, range(len(self)))

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, place: int | slice) -> Sample | tuple[Sample, ...]:
        found = range(len(self))[place]
        return self._sample(found) if isinstance(found, int) else tuple(map(self._sample, found))

    def _sample(self, place: int) -> Sample:
        begin, end = self.path_ends[place : place + 2].tolist()
        width, height = self.sizes[place].tolist()
        split, file = int(self.splits[place]), int(self.annotation[place])
        first, last = self.starts[place : place + 2].tolist()
        return Sample(
            Path(os.fsdecode(self.paths[begin:end])),
            Size(width, height),
            Rows(self.table, first, last),
            SPLITS[split] if split >= 0 else None,
            self.annotations[file] if file >= 0 else None,
        )


def joined(parts: Sequence[SampleColumns]) -> SampleColumns:
    """The samples of several columns, one after the other."""
    files = np.cumsum([0, *(len(p.annotations) for p in parts)])
    numbers = [
        np.where(p.annotation >= 0, p.annotation + first, -1)
        for p, first in zip(parts, files, strict=False)
    ]
    none = SampleColumns.of(())
    every = [none, *parts]
    return SampleColumns(
        b"".join(p.paths for p in every),
        _ends(np.concatenate([np.diff(p.path_ends) for p in every])),
        np.concatenate([p.sizes for p in every]),
        np.concatenate([p.splits for p in every]),
        [path for p in every for path in p.annotations],
        np.concatenate([none.annotation, *numbers]).astype(np.int32),
        stacked([p.table for p in every]),
        _ends(np.concatenate([np.diff(p.starts) for p in every])),
    )


def _ends(lengths: Sequence[int] | NDArray[np.int64]) -> Index:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
