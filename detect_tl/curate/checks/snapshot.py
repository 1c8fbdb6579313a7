"""A data set as arrays, made once; checks are functions of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import InstanceTable, gathered
from detect_tl.core.dataset import Dataset, Sample
from detect_tl.core.geometry import Box
from detect_tl.curate.checks.image_facts import ImageFacts
from detect_tl.curate.checks.rings import Rings
from detect_tl.curate.duplicates import alike

Boxes = NDArray[np.float64]
Index = NDArray[np.int64]


class Stray(NamedTuple):
    """An image in the folder of a split that the annotations do not list.

    content: equal to that of a listed image when the files are equal.
    """

    image: Path
    split: str
    content: Hashable


@dataclass(frozen=True, eq=False)
class Snapshot:
    """N objects on S images, in C classes.

    table: the objects as columns. starts: (S + 1,), where the objects of an image begin.
    facts: of every image file; contents: a value per image, equal for equal files. Both are empty
        when no check asked for them.
    turned: images whose objects were drawn on the stored picture, and turned while reading.
    strays: images that are no part of the data set; empty when no check asked for contents.
    """

    dataset: Dataset
    table: InstanceTable
    starts: Index
    facts: Sequence[ImageFacts] = ()
    contents: Sequence[Hashable] = ()
    turned: frozenset[Path] = frozenset()
    strays: Sequence[Stray] = ()
    _looks: dict[int, Sequence[Hashable]] = field(default_factory=dict, init=False, repr=False)

    @property
    def samples(self) -> Sequence[Sample]:
        return self.dataset.samples

    @cached_property
    def names(self) -> list[str]:
        return self.dataset.names

    @property
    def boxes(self) -> Boxes:
        """(N, 4) xyxy, pixels of the upright image."""
        return self.table.box

    @property
    def category(self) -> NDArray[np.int32]:
        """(N,) index into the classes; may lie outside of them."""
        return self.table.category

    @property
    def counts(self) -> Index:
        """(S,) number of objects on every image."""
        return np.diff(self.starts)

    @cached_property
    def owner(self) -> Index:
        """(N,) the image of every object."""
        return np.repeat(np.arange(len(self.samples)), self.counts)

    @cached_property
    def sizes(self) -> Boxes:
        """(S, 2) width and height of the upright images, pixels."""
        return np.asarray([s.size for s in self.samples], dtype=np.float64).reshape(-1, 2)

    @cached_property
    def spans(self) -> Boxes:
        """(N, 2) width and height of the boxes, negative where corners are swapped, pixels."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @cached_property
    def beyond(self) -> NDArray[np.float64]:
        """(N,) by how many pixels a box leaves its image; at most 0 for one that does not."""
        low, high = -self.boxes, self.boxes[:, [2, 3, 0, 1]] - self.sizes[self.owner][:, [0, 1] * 2]
        beyond: NDArray[np.float64] = np.maximum(low.max(axis=1), high.max(axis=1))
        return beyond

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """(N,) whether a box is made of finite numbers."""
        return np.asarray(np.isfinite(self.boxes).all(axis=1))

    @cached_property
    def proper(self) -> NDArray[np.bool_]:
        """(N,) whether a box is made of finite numbers and has an area."""
        proper: NDArray[np.bool_] = self.finite & (self.spans > 0).all(axis=1)
        return proper

    @cached_property
    def per_class(self) -> Index:
        """(C,) number of objects of every class; those of no class are not counted."""
        known = (self.category >= 0) & (self.category < len(self.names))
        return np.bincount(self.category[known], minlength=len(self.names))

    @cached_property
    def rings(self) -> Rings:
        """The outlines of all objects."""
        return Rings.of(self.table)

    def looks(self, most: int) -> Sequence[Hashable]:
        """A value per image, equal for those that look alike and for equal files.

        most: bits of 64 in which they may differ, see `similar_groups`.
        """
        if most not in self._looks:
            prints = [facts.print for facts in self.facts]
            self._looks[most] = alike(prints, self.contents, most)
        return self._looks[most]

    @cached_property
    def splits(self) -> list[str]:
        """The split of every image; what the source leaves open goes to train."""
        return [sample.split or "train" for sample in self.samples]

    def label(self, row: int) -> str:
        """The class of an object in words."""
        category = int(self.category[row])
        known = 0 <= category < len(self.names)
        return self.names[category] if known else f"class {category}"

    def box(self, row: int) -> Box:
        return Box(*self.boxes[row].tolist())

    def sample_of(self, row: int) -> Sample:
        return self.samples[int(self.owner[row])]


def snapshot_of(
    dataset: Dataset,
    facts: Sequence[ImageFacts] = (),
    contents: Sequence[Hashable] = (),
    turned: frozenset[Path] = frozenset(),
    strays: Sequence[Stray] = (),
) -> Snapshot:
    """Put the objects of a data set into arrays; those of one table are not copied."""
    table, starts = gathered([sample.instances for sample in dataset.samples])
    return Snapshot(dataset, table, starts, facts, contents, turned, strays)
