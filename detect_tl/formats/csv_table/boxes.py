"""Boxes that come row by row, each with the name of its image, kept as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.columns import InstanceTable, Rows
from detect_tl.core.dataset import NO_ATTRIBUTES, Json
from detect_tl.core.geometry import Mask


@dataclass(frozen=True, slots=True)
class BoxesOfImage:
    """The boxes that a table has for one image.

    rows: as objects. box: (n, 4) float64, the same boxes, to be moved in place.
    masks: of the table's objects by their row in it, to be filled in; first: the row of the first.
    """

    name: str
    rows: Rows
    box: NDArray[np.float64]
    masks: dict[int, Mask]

    @property
    def first(self) -> int:
        return self.rows.start


class BoxTable:
    """Takes boxes in any order and gives them image by image, in the order of first mention."""

    def __init__(self) -> None:
        self._images: dict[str, int] = {}
        self._image = array("q")
        self._category = array("i")
        self._box = array("d")
        self._crowd = array("b")
        self._attributes: dict[int, Mapping[str, Json]] = {}

    def mention(self, image: str) -> int:
        """Take note of an image, whether it has boxes or not."""
        return self._images.setdefault(image, len(self._images))

    def add(
        self,
        image: str,
        category: int,
        box: Sequence[float],
        *,
        iscrowd: bool = False,
        attributes: Mapping[str, Json] = NO_ATTRIBUTES,
    ) -> None:
        """Add a box of four numbers."""
        if attributes:
            self._attributes[len(self._image)] = attributes
        self._image.append(self.mention(image))
        self._category.append(category)
        self._box.extend(box)
        self._crowd.append(iscrowd)

    def extent(self) -> tuple[float, float]:
        """The smallest and the largest coordinate of all; (0, 0) when there are none."""
        values = np.asarray(self._box, dtype=np.float64)
        return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)

    def by_image(self) -> Iterator[BoxesOfImage]:
        image = np.asarray(self._image, dtype=np.int64)
        order = np.argsort(image, kind="stable")
        masks: dict[int, Mask] = {}
        table = self._table(order, masks)
        edges = np.searchsorted(image[order], np.arange(len(self._images) + 1)).tolist()
        for number, name in enumerate(self._images):
            start, stop = edges[number], edges[number + 1]
            yield BoxesOfImage(name, Rows(table, start, stop), table.box[start:stop], masks)

    def _table(self, order: NDArray[np.int64], masks: dict[int, Mask]) -> InstanceTable:
        count = len(order)
        place = np.argsort(order) if self._attributes else order
        return InstanceTable(
            np.asarray(self._category, dtype=np.int32)[order],
            np.asarray(self._box, dtype=np.float64).reshape(-1, 4)[order],
            np.asarray(self._crowd, dtype=np.bool_)[order],
            np.zeros(count, dtype=np.int64),
            np.zeros(count, dtype=np.int64),
            np.zeros(1, dtype=np.int64),
            np.zeros(0, dtype=np.bool_),
            np.zeros((0, 2)),
            masks,
            {int(place[row]): found for row, found in self._attributes.items()},
        )
