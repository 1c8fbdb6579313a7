"""Many objects in few arrays.

A million objects as Python objects take gigabytes; as columns they take what their numbers take.
`InstanceTable` holds the columns, `Rows` shows a stretch of them as the `Instance`s they stand for.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import Box, Mask, PolygonMask
from detect_tl.core.objects import NO_ATTRIBUTES, Instance, Json

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class InstanceTable:
    """Objects as columns; N objects with R rings of P points in all.

    category: (N,) int32. box: (N, 4) float64, xyxy in pixels. crowd: (N,) bool.
    first_ring, rings: (N,) int64, where the rings of an object begin and how many they are; 0 for
        one without polygons.
    ring_start: (R + 1,) int64, where the points of a ring begin. hole: (R,) bool.
    points: (P, 2) float64, xy in pixels.
    others: masks that are no polygons with points, by object; attributes: likewise, where any.
    """

    category: NDArray[np.int32]
    box: NDArray[np.float64]
    crowd: Flags
    first_ring: Index
    rings: Index
    ring_start: Index
    hole: Flags
    points: NDArray[np.float64]
    others: Mapping[int, Mask] = field(default_factory=dict)
    attributes: Mapping[int, Mapping[str, Json]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.category)

    def instances(self, start: int, stop: int) -> Iterator[Instance]:
        """The objects from `start` up to `stop`, one by one."""
        columns = zip(
            range(start, stop),
            self.category[start:stop].tolist(),
            self.box[start:stop].tolist(),
            self.crowd[start:stop].tolist(),
            strict=True,
        )
        for row, category, box, crowd in columns:
            attributes = self.attributes.get(row, NO_ATTRIBUTES)
            yield Instance(category, Box(*box), self.mask(row), crowd, attributes)

    def mask(self, row: int) -> Mask | None:
        """The mask of one object; its rings are views of `points`."""
        count = int(self.rings[row])
        if not count:
            return self.others.get(row)
        first = int(self.first_ring[row])
        edges = self.ring_start[first : first + count + 1].tolist()
        rings = [self.points[a:b] for a, b in itertools.pairwise(edges)]
        holes = self.hole[first : first + count]
        if not holes.any():
            return PolygonMask(tuple(rings))
        return PolygonMask(
            tuple(r for r, h in zip(rings, holes, strict=True) if not h),
            tuple(r for r, h in zip(rings, holes, strict=True) if h),
        )

    @property
    def masked(self) -> Flags:
        """(N,) bool: which objects have a mask."""
        found = self.rings > 0
        found[list(self.others)] = True
        return found

    def picked(self, rows: Index) -> InstanceTable:
        """The objects of these rows, in this order; they share the rings of this table."""
        return replace(
            self,
            category=self.category[rows],
            box=self.box[rows],
            crowd=self.crowd[rows],
            first_ring=self.first_ring[rows],
            rings=self.rings[rows],
            others=_moved(self.others, rows),
            attributes=_moved(self.attributes, rows),
        )

    def compact(self) -> InstanceTable:
        """The same objects, with no rings but their own, in the order of the objects."""
        ring = ranges(self.first_ring, self.rings)
        lengths = self.ring_start[ring + 1] - self.ring_start[ring]
        return replace(
            self,
            first_ring=np.cumsum(self.rings) - self.rings,
            ring_start=_starts(lengths),
            hole=self.hole[ring],
            points=self.points[ranges(self.ring_start[ring], lengths)],
        )

    def ring_areas(self) -> NDArray[np.float64]:
        """(R,) area of every ring in square pixels, signed as `signed_ring_area` has it."""
        first = self.ring_start[:-1]
        if not len(first):
            return np.zeros(0)
        lengths = np.diff(self.ring_start)
        x, y = (self.points - np.repeat(self.points[first], lengths, axis=0)).T
        following = np.arange(1, len(self.points) + 1)
        following[first + lengths - 1] = first
        areas: NDArray[np.float64] = np.add.reduceat(x * y[following] - x[following] * y, first)
        return areas / 2

    def boxes_only(self) -> InstanceTable:
        """The same objects without their masks."""
        none = np.zeros(len(self), dtype=np.int64)
        return replace(
            self,
            first_ring=none,
            rings=none,
            ring_start=np.zeros(1, dtype=np.int64),
            hole=np.zeros(0, dtype=np.bool_),
            points=np.zeros((0, 2)),
            others={},
        )

    def renumbered(self, target: Sequence[int]) -> InstanceTable:
        """The same objects, with category k become `target[k]`."""
        lookup = np.asarray(target, dtype=np.int32)
        return replace(self, category=lookup[self.category])


class Rows(Sequence[Instance]):
    """A stretch of a table, as the objects it stands for. They are made when they are asked for."""

    __slots__ = ("start", "stop", "table")

    def __init__(self, table: InstanceTable, start: int, stop: int) -> None:
        self.table = table
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Instance]:
        return self.table.instances(self.start, self.stop)

    @overload
    def __getitem__(self, place: int) -> Instance: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Instance, ...]: ...
    def __getitem__(self, place: int | slice) -> Instance | tuple[Instance, ...]:
        found = range(self.start, self.stop)[place]
        if isinstance(found, int):
            return next(self.table.instances(found, found + 1))
        return tuple(next(self.table.instances(row, row + 1)) for row in found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        return f"Rows({list(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Only the stretch itself travels to another process, not the table."""
        rows = np.arange(self.start, self.stop)
        return Rows, (self.table.picked(rows).compact(), 0, len(self))


class TableBuilder:
    """Takes objects one by one and turns them into a table."""

    def __init__(self) -> None:
        self._category: list[int] = []
        self._box = array("d")
        self._crowd: list[bool] = []
        self._rings: list[int] = []
        self._ring_length: list[int] = []
        self._holes: list[int] = []
        self._flat = array("d")
        self._others: dict[int, Mask] = {}
        self._attributes: dict[int, Mapping[str, Json]] = {}

    def __len__(self) -> int:
        return len(self._category)

    def add(self, item: Instance) -> None:
        """Add any object."""
        row = len(self._category)
        mask = item.mask
        holes = mask.holes if isinstance(mask, PolygonMask) else ()
        rings = (*mask.parts, *holes) if isinstance(mask, PolygonMask) else ()
        lengths = [len(ring) for ring in rings]
        if lengths and all(lengths):
            end = len(self._ring_length) + len(rings)
            self._holes += range(end - len(holes), end)
            for ring in rings:
                self._flat.frombytes(np.ascontiguousarray(ring, dtype=np.float64).data.cast("B"))
        elif mask is not None:
            lengths = []
            self._others[row] = mask
        if item.attributes:
            self._attributes[row] = item.attributes
        self._box.extend(item.box)
        self._add(item.category, lengths, iscrowd=item.iscrowd)

    def add_box(
        self, category: int, box: Sequence[float], attributes: Mapping[str, Json] = NO_ATTRIBUTES
    ) -> None:
        """Add an object without a mask."""
        if attributes:
            self._attributes[len(self._category)] = attributes
        self._box.extend(box)
        self._add(category, (), iscrowd=False)

    def add_buffers(
        self,
        category: int,
        box: memoryview,
        points: memoryview,
        lengths: Sequence[int],
        *,
        iscrowd: bool = False,
    ) -> None:
        """Add an object from float64 in memory: four of its box, and two of every point.

        lengths: how many points each of its rings has.
        """
        self._box.frombytes(box)
        self._flat.frombytes(points)
        self._add(category, lengths, iscrowd=iscrowd)

    def _add(self, category: int, lengths: Sequence[int], *, iscrowd: bool) -> None:
        self._category.append(category)
        self._crowd.append(iscrowd)
        self._rings.append(len(lengths))
        self._ring_length += lengths

    def build(self) -> InstanceTable:
        rings = np.asarray(self._rings, dtype=np.int64)
        hole = np.zeros(len(self._ring_length), dtype=np.bool_)
        hole[self._holes] = True
        return InstanceTable(
            np.asarray(self._category, dtype=np.int32),
            np.asarray(self._box).reshape(-1, 4),
            np.asarray(self._crowd, dtype=np.bool_),
            np.cumsum(rings) - rings,
            rings,
            _starts(np.asarray(self._ring_length, dtype=np.int64)),
            hole,
            np.asarray(self._flat).reshape(-1, 2),
            self._others,
            self._attributes,
        )


def table_of(instances: Iterable[Instance]) -> InstanceTable:
    """Put objects into columns."""
    builder = TableBuilder()
    for item in instances:
        builder.add(item)
    return builder.build()


def stacked(tables: Sequence[InstanceTable]) -> InstanceTable:
    """The objects of several tables, one after the other, with all the rings of each."""
    if len(tables) == 1:
        return tables[0]
    if not tables:
        return table_of(())
    objects = _starts(np.asarray([len(t) for t in tables]))
    rings = _starts(np.asarray([len(t.hole) for t in tables]))
    points = _starts(np.asarray([len(t.points) for t in tables]))
    pairs = list(zip(tables, objects.tolist(), strict=False))
    starts = [t.ring_start[:-1] + p for t, p in zip(tables, points, strict=False)]
    return InstanceTable(
        np.concatenate([t.category for t in tables]),
        np.concatenate([t.box for t in tables]),
        np.concatenate([t.crowd for t in tables]),
        np.concatenate([t.first_ring + r for t, r in zip(tables, rings, strict=False)]),
        np.concatenate([t.rings for t in tables]),
        np.concatenate([*starts, points[-1:]]),
        np.concatenate([t.hole for t in tables]),
        np.concatenate([t.points for t in tables]),
        {row + k: mask for t, k in pairs for row, mask in t.others.items()},
        {row + k: found for t, k in pairs for row, found in t.attributes.items()},
    )


def gathered(
    groups: Sequence[Sequence[Instance]], *, masks: bool = True
) -> tuple[InstanceTable, Index]:
    """All objects of `groups` in one table, and the (len(groups) + 1,) places where they begin.

    Rows of one table are not copied point by point. masks: False leaves them out.
    """
    offsets = _starts(np.asarray([len(group) for group in groups], dtype=np.int64))
    runs = [(table if masks else table.boxes_only(), rows) for table, rows in _runs(groups)]
    if len(runs) == 1:
        ((table, rows),) = runs
        return (table if _is_all(rows, table) else table.picked(rows)), offsets
    slices = [t if _is_all(rows, t) else t.picked(rows).compact() for t, rows in runs]
    return stacked(slices), offsets


def kinds_of(groups: Sequence[Sequence[Instance]]) -> tuple[Flags, Flags]:
    """Of all objects of `groups`, whether each has a mask and whether it is a crowd."""
    runs = list(_runs(groups))
    known = {id(table): table.masked for table, _ in runs}
    masked = [known[id(table)][rows] for table, rows in runs]
    crowd = [table.crowd[rows] for table, rows in runs]
    none = np.zeros(0, dtype=np.bool_)
    return np.concatenate([none, *masked]), np.concatenate([none, *crowd])


class Groups(list[Sequence[Instance]]):
    """The objects of some images, which travel to another process as columns."""

    def columns(self) -> tuple[InstanceTable, Index]:
        """As `gathered` does, without what other objects have."""
        table, offsets = gathered(self)
        return table.compact(), offsets

    def __reduce__(self) -> tuple[Any, ...]:
        return _regrouped, self.columns()


def _regrouped(table: InstanceTable, offsets: Index) -> Groups:
    return Groups(Rows(table, start, stop) for start, stop in itertools.pairwise(offsets.tolist()))


def _runs(groups: Sequence[Sequence[Instance]]) -> Iterator[tuple[InstanceTable, Index]]:
    """Tables and rows of them that follow each other as the groups do, as few as possible."""
    for _, run in itertools.groupby(groups, _home):
        some = list(run)
        if isinstance(some[0], Rows):
            first = np.asarray([rows.start for rows in some if isinstance(rows, Rows)])
            count = np.asarray([len(rows) for rows in some])
            yield some[0].table, ranges(first, count)
        else:
            table = table_of(itertools.chain.from_iterable(some))
            yield table, np.arange(len(table))


def _home(group: Sequence[Instance]) -> int:
    """Which table the objects are in; 0 for those that are in none."""
    return id(group.table) if isinstance(group, Rows) else 0


def _is_all(rows: Index, table: InstanceTable) -> bool:
    return len(rows) == len(table) and bool((rows == np.arange(len(rows))).all())


def ranges(first: Index, count: Index) -> Index:
    """`first[0], first[0] + 1, …` for `count[0]` numbers, then on from `first[1]`, and so on."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    found: Index = np.arange(total) + np.repeat(first - (ends - count), count)
    return found


def _starts(lengths: NDArray[np.int64]) -> Index:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def _moved(values: Mapping[int, Any], rows: Index) -> dict[int, Any]:
    """The values of the rows that are kept, by their new places."""
    if not values:
        return {}
    held = np.isin(rows, np.fromiter(values, dtype=np.int64))
    return {place: values[int(rows[place])] for place in np.flatnonzero(held).tolist()}
