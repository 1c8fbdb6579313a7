"""What a data set looks like in numbers: classes, sizes, shapes and places of its objects."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from detect_tl.core.dataset import SPLITS, Dataset, Instance
from detect_tl.core.geometry import PolygonMask, mask_area
from detect_tl.curate.stats import split_table

SIZES = ("small", "medium", "large")
# COCO's: areas of 32x32 and 96x96 pixels.
_SIZE_EDGES = (32**2, 96**2)
# Length of an object, the root of its area, against that of its image.
_LENGTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_RATIOS = (1 / 4, 1 / 2, 4 / 5, 5 / 4, 2, 4)
_PER_IMAGE = (1, 2, 4, 8, 16, 32, 64, 128)
_GRID = 5
_MOST_IMAGE_SIZES = 20

Histogram = dict[str, int]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Of one class. images, objects: how many; splits: objects by split; crowds are in both.

    sizes: small, medium, large by COCO's areas, crowds left out.
    """

    images: int
    objects: int
    crowds: int
    splits: dict[str, int]
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of a data set. Everything on sizes, shapes and places leaves crowds out.

    splits: images, objects and images without objects; "none" for images in no split.
    masks: objects by what says where they are: box, polygons, run lengths; several parts; holes.
    lengths: root of the area of an object against that of its image. ratios: width to height.
    places: rows from the top, columns from the left; in which cell of the image the centre lies.
    objects_per_image: how many images have so many. image_sizes: "WIDTHxHEIGHT", frequent first.
    """

    images: int
    objects: int
    crowds: int
    splits: dict[str, dict[str, int]]
    classes: dict[str, ClassFigures]
    masks: Histogram
    sizes: Histogram
    lengths: Histogram
    ratios: Histogram
    places: list[list[int]]
    objects_per_image: Histogram
    objects_per_image_mean: float
    objects_per_image_median: float
    image_sizes: Histogram

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def overview(dataset: Dataset) -> Overview:
    """Count a data set once through."""
    counted = _Objects(dataset)
    per_image = [len(sample.instances) for sample in dataset.samples]
    sizes = Counter(f"{s.size.width}x{s.size.height}" for s in dataset.samples)
    return Overview(
        images=len(dataset),
        objects=sum(per_image),
        crowds=sum(counted.crowds.values()),
        splits=_splits(dataset),
        classes=counted.classes(),
        masks={kind: counted.masks[kind] for kind in _MASKS},
        sizes={size: sum(counted.sizes[k, size] for k in counted.places) for size in SIZES},
        lengths=_histogram(counted.lengths, _LENGTHS, _percent),
        ratios=_histogram(counted.ratios, _RATIOS, _ratio),
        places=counted.grid,
        objects_per_image=_per_image(per_image),
        objects_per_image_mean=sum(per_image) / max(len(per_image), 1),
        objects_per_image_median=float(median(per_image)) if per_image else 0.0,
        image_sizes=dict(sorted(sizes.items(), key=lambda kv: (-kv[1], kv[0]))[:_MOST_IMAGE_SIZES]),
    )


_MASKS = ("box only", "polygons", "run lengths", "several parts", "with holes")


class _Objects:
    """What is counted object by object."""

    def __init__(self, dataset: Dataset) -> None:
        self.names = dataset.names
        self.places = range(len(self.names))
        self.images: Counter[int] = Counter()
        self.objects: Counter[tuple[int, str]] = Counter()
        self.crowds: Counter[int] = Counter()
        self.sizes: Counter[tuple[int, str]] = Counter()
        self.masks: Counter[str] = Counter()
        self.lengths: list[float] = []
        self.ratios: list[float] = []
        self.grid = [[0] * _GRID for _ in range(_GRID)]
        for sample in dataset.samples:
            found = set()
            for item in sample.instances:
                found.add(item.category)
                self.objects[item.category, sample.split or "none"] += 1
                self.masks.update(_kinds(item))
                if item.iscrowd:
                    self.crowds[item.category] += 1
                else:
                    self._measure(item, *sample.size)
            self.images.update(found)

    def _measure(self, item: Instance, width: int, height: int) -> None:
        area = item.box.area if item.mask is None else mask_area(item.mask)
        self.sizes[item.category, SIZES[bisect_right(_SIZE_EDGES, area)]] += 1
        if width > 0 and height > 0:
            self.lengths.append((max(area, 0.0) / (width * height)) ** 0.5)
            x, y = (item.box.x1 + item.box.x2) / 2 / width, (item.box.y1 + item.box.y2) / 2 / height
            row, column = (min(max(int(v * _GRID), 0), _GRID - 1) for v in (y, x))
            self.grid[row][column] += 1
        if item.box.area > 0:
            self.ratios.append(item.box.width / item.box.height)

    def classes(self) -> dict[str, ClassFigures]:
        used = {split for _, split in self.objects}
        splits = [split for split in (*SPLITS, "none") if split in used]
        return {
            name: ClassFigures(
                self.images[k],
                sum(self.objects[k, split] for split in splits),
                self.crowds[k],
                {split: self.objects[k, split] for split in splits},
                {size: self.sizes[k, size] for size in SIZES},
            )
            for k, name in enumerate(self.names)
        }


def _kinds(item: Instance) -> Iterator[str]:
    if item.mask is None:
        yield "box only"
    elif isinstance(item.mask, PolygonMask):
        yield "polygons"
        if len(item.mask.parts) > 1:
            yield "several parts"
        if item.mask.holes:
            yield "with holes"
    else:
        yield "run lengths"


def _splits(dataset: Dataset) -> dict[str, dict[str, int]]:
    table = split_table(dataset)
    rest = [sample for sample in dataset.samples if sample.split is None]
    if rest:
        table["none"] = {
            "images": len(rest),
            "objects": sum(len(sample.instances) for sample in rest),
            "without_objects": sum(not len(sample.instances) for sample in rest),
        }
    return table


def _histogram(
    values: Iterable[float], edges: Sequence[float], say: Callable[[float], str]
) -> Histogram:
    """How many values lie below the first edge, between each two, and from the last one on."""
    counts = Counter(bisect_right(edges, value) for value in values)
    labels = [
        f"< {say(edges[0])}",
        *(f"{say(a)} – {say(b)}" for a, b in pairwise(edges)),
        f"≥ {say(edges[-1])}",
    ]
    return {label: counts[k] for k, label in enumerate(labels)}


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _ratio(value: float) -> str:
    return f"{value:.3g}"


def _per_image(counts: Sequence[int]) -> Histogram:
    """Images by number of objects, in steps that double."""
    bins = Counter(bisect_left(_PER_IMAGE, count + 1) for count in counts)
    steps = (f"{a} – {b - 1}" for a, b in pairwise(_PER_IMAGE[1:]))
    labels = ["0", "1", *steps, f"≥ {_PER_IMAGE[-1]}"]
    found = {label: bins[k] for k, label in enumerate(labels)}
    last = max((k for k, count in enumerate(found.values()) if count), default=0)
    return dict(list(found.items())[: last + 1])
