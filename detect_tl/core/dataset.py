"""The data model: what a set of annotated images is, whichever tool wrote it.

It can hold bad data (a box outside its image, an empty polygon): checks find it, repair mends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from detect_tl.core.geometry import Box, Mask, Size
from detect_tl.core.model_spec import Task

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

SPLITS = ("train", "val", "test")

NO_ATTRIBUTES: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Category:
    """One class. Its id is its place in `Dataset.categories`."""

    name: str
    supercategory: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotated object.

    category: index into `Dataset.categories`.
    box: pixels of the upright image; always there, derived from the mask when the source has none.
    mask: what the source gave, polygons or RLE; None when it gave a box only.
    iscrowd: a group that evaluation ignores (COCO).
    attributes: whatever else the source said of it ("difficult", "occluded", "group_id", …).
    """

    category: int
    box: Box
    mask: Mask | None = None
    iscrowd: bool = False
    attributes: Mapping[str, Json] = field(default_factory=lambda: NO_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and its objects.

    image: path of the file, as found on disk.
    size: of the image as a person sees it (EXIF orientation applied).
    split: "train", "val" or "test" when the source says so, else None.
    annotation: the file that described it; None for a background image without one.
    """

    image: Path
    size: Size
    instances: tuple[Instance, ...] = ()
    split: str | None = None
    annotation: Path | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Categories and samples. Order is meaningful, and the same for the same source."""

    categories: tuple[Category, ...]
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> list[str]:
        """Class names in the order of their ids."""
        return [category.name for category in self.categories]

    @property
    def has_masks(self) -> bool:
        return any(item.mask is not None for item in self.instances())

    @property
    def natural_task(self) -> Task:
        """ "segment" when at least half of the objects have a mask, crowds not counted."""
        single = [item for item in self.instances() if not item.iscrowd]
        masked = sum(item.mask is not None for item in single)
        return "segment" if masked and 2 * masked >= len(single) else "detect"

    def instances(self) -> Iterator[Instance]:
        for sample in self.samples:
            yield from sample.instances

    def in_split(self, split: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.split == split]

    def objects_per_class(self) -> dict[str, int]:
        """Number of objects of every class, in the order of the ids, zeros included."""
        counts = Counter(item.category for item in self.instances())
        return {name: counts[index] for index, name in enumerate(self.names)}


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

    def moved(item: Instance) -> Instance:
        index = target[item.category]
        if index is None:
            raise KeyError(dataset.names[item.category])
        return item if index == item.category else replace(item, category=index)

    samples = tuple(
        replace(sample, instances=tuple(map(moved, sample.instances))) for sample in dataset.samples
    )
    return Dataset(categories, samples)


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
