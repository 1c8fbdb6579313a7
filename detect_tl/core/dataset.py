"""The data model: what a set of annotated images is, whichever tool wrote it.

It can hold bad data (a box outside its image, an empty polygon): checks find it, repair mends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.columns import Flags, Groups, Index, InstanceTable, Rows, gathered, kinds_of
from detect_tl.core.geometry import Size
from detect_tl.core.image_header import ImageHeader
from detect_tl.core.model_spec import Task
from detect_tl.core.objects import NO_ATTRIBUTES, Category, Instance, Json
from detect_tl.core.splits import SPLITS

__all__ = [
    "NO_ATTRIBUTES",
    "SPLITS",
    "Category",
    "CategoryIndex",
    "Dataset",
    "Instance",
    "Json",
    "Sample",
    "Samples",
    "categories_of",
    "renumber",
]


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and its objects.

    image: path of the file, as found on disk.
    size: of the image as a person sees it (EXIF orientation applied).
    instances: its objects, as a tuple or as `Rows` of a table.
    split: "train", "val" or "test" when the source says so, else None.
    annotation: the file that described it; None for a background image without one.
    not_exhaustive: categories of which it may show objects that nobody marked, ascending: they were
        not looked for. Where such a class is found, it is neither right nor wrong.
    header: what the file's two ends tell, where they have been looked at already.
    """

    image: Path
    size: Size
    instances: Sequence[Instance] = ()
    split: str | None = None
    annotation: Path | None = None
    header: ImageHeader | None = field(default=None, compare=False, repr=False)
    not_exhaustive: tuple[int, ...] = ()


class Samples(list[Sample]):
    """Some samples, which travel to another process with their objects as columns."""

    def __reduce__(self) -> tuple[Any, ...]:
        plain = [
            (str(s.image), s.size, s.split, s.annotation, s.header, s.not_exhaustive) for s in self
        ]
        return _samples_again, (plain, Groups([sample.instances for sample in self]))


_Plain = tuple[str, Size, str | None, Path | None, ImageHeader | None, tuple[int, ...]]


def _samples_again(plain: Sequence[_Plain], objects: Groups) -> Samples:
    return Samples(
        Sample(Path(image), size, rows, split, annotation, header, open_)
        for (image, size, split, annotation, header, open_), rows in zip(
            plain, objects, strict=True
        )
    )


@dataclass(frozen=True, slots=True)
class Dataset:
    """Categories and samples. Order is meaningful, and the same for the same source.

    samples: a tuple, or columns that show them one by one.
    """

    categories: tuple[Category, ...]
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> list[str]:
        """Class names in the order of their ids."""
        return [category.name for category in self.categories]

    @property
    def has_masks(self) -> bool:
        return bool(self._kinds()[0].any())

    @property
    def natural_task(self) -> Task:
        """ "segment" when at least half of the objects have a mask, crowds not counted."""
        masked, crowd = self._kinds()
        alone = masked[~crowd]
        return "segment" if alone.any() and alone.mean() >= 0.5 else "detect"

    def boxes(self) -> tuple[InstanceTable, Index]:
        """All objects, without masks, in one table; the (samples + 1,) places where those of each
        sample begin."""
        return gathered([sample.instances for sample in self.samples], masks=False)

    def _kinds(self) -> tuple[Flags, Flags]:
        """Of every object, whether it has a mask and whether it is a crowd."""
        return kinds_of([sample.instances for sample in self.samples])

    def instances(self) -> Iterator[Instance]:
        for sample in self.samples:
            yield from sample.instances

    def in_split(self, split: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.split == split]

    def objects_per_class(self) -> dict[str, int]:
        """Number of objects of every class, in the order of the ids, zeros included."""
        table, _ = self.boxes()
        known = (table.category >= 0) & (table.category < len(self.categories))
        counts = np.bincount(table.category[known], minlength=len(self.categories))
        return dict(zip(self.names, counts.tolist(), strict=True))


def categories_of(instances: Sequence[Instance]) -> list[int]:
    """The categories of objects, without making the objects that stand in columns."""
    if isinstance(instances, Rows):
        columns: list[int] = instances.table.category[instances.start : instances.stop].tolist()
        return columns
    return [item.category for item in instances]


def renumber(
    dataset: Dataset, names: Sequence[str], same: Mapping[str, str] | None = None
) -> Dataset:
    """Put the categories in the order of `names`, and their ids with them.

    same: names that become another one of `names`, for example {"rbc": "RBC"}.
    A category that `names` leaves out goes; raises KeyError when an object still has it.
    """
    place = {name: index for index, name in enumerate(names)}
    known = {category.name: category for category in dataset.categories}
    target = [place.get((same or {}).get(name, name)) for name in dataset.names]
    categories = tuple(known.get(name, Category(name)) for name in names)
    if target == list(range(len(names))):
        return replace(dataset, categories=categories)

    move = _Renumbering(target, dataset.names)
    samples = tuple(
        replace(s, instances=move(s.instances), not_exhaustive=move.places(s.not_exhaustive))
        for s in dataset.samples
    )
    return Dataset(categories, samples)


class _Renumbering:
    """Gives objects their new categories, those of one table all at once."""

    def __init__(self, target: Sequence[int | None], names: Sequence[str]) -> None:
        self._target = target
        self._names = names
        self._tables: dict[int, tuple[InstanceTable, InstanceTable, bool]] = {}

    def __call__(self, instances: Sequence[Instance]) -> Sequence[Instance]:
        """Raise KeyError for an object whose category has no place."""
        if not isinstance(instances, Rows):
            return tuple(map(self._moved, instances))
        _, table, whole = self._table(instances.table)
        rows = slice(instances.start, instances.stop)
        # A table may have rows of images that were lost, with classes that went with them.
        if not whole and (table.category[rows] < 0).any():
            place = instances.start + int((table.category[rows] < 0).argmax())
            raise KeyError(self._names[instances.table.category[place]])
        return Rows(table, instances.start, instances.stop)

    def places(self, categories: Sequence[int]) -> tuple[int, ...]:
        """Where categories are now, those that have a place."""
        found = {self._target[category] for category in categories}
        return tuple(sorted(place for place in found if place is not None))

    def _moved(self, item: Instance) -> Instance:
        index = self._target[item.category]
        if index is None:
            raise KeyError(self._names[item.category])
        return item if index == item.category else replace(item, category=index)

    def _table(self, table: InstanceTable) -> tuple[InstanceTable, InstanceTable, bool]:
        """A table, kept alive and with it its id; the same with new categories, -1 for those
        without a place; and whether all have one."""
        if id(table) not in self._tables:
            moved = table.renumbered([-1 if t is None else t for t in self._target])
            self._tables[id(table)] = table, moved, bool((moved.category >= 0).all())
        return self._tables[id(table)]


class CategoryIndex:
    """Hands out ids in the order in which names are first declared or met."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._categories: dict[str, Category] = {}
        self._ids: dict[str, int] = {}
        for name in names:
            self.add(name)

    def add(self, name: str, supercategory: str = "") -> int:
        """Return the id of `name`, declaring it when it is new."""
        if name not in self._ids:
            self._ids[name] = len(self._ids)
            self._categories[name] = Category(name, supercategory)
        return self._ids[name]

    def get(self, name: str) -> int | None:
        return self._ids.get(name)

    def categories(self) -> tuple[Category, ...]:
        return tuple(self._categories.values())
