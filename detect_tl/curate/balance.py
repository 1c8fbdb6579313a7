"""How evenly a split divides the classes, against what was wanted of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detect_tl.core.dataset import SPLITS, Dataset, categories_of
from detect_tl.core.findings import Finding

# A split this much larger or smaller than wanted, as a share of all images, is worth a word.
_UNEVEN = 0.02


@dataclass(frozen=True, slots=True)
class Balance:
    """Shares in percent are for people; here they are between 0 and 1.

    wanted: share of every split. images: share of all images that each got.
    classes: by name and split, the share of the objects of the class; without classes that have
        no object.
    """

    wanted: Mapping[str, float]
    images: Mapping[str, float]
    classes: Mapping[str, Mapping[str, float]]

    @property
    def deviations(self) -> dict[str, float]:
        """By class, the largest difference between a share it has and the wanted one."""
        return {
            name: max(abs(shares[split] - share) for split, share in self.wanted.items())
            for name, shares in self.classes.items()
        }

    @property
    def worst(self) -> tuple[str, float] | None:
        """The class that is divided least as wanted, and by how much; None without objects."""
        found = self.deviations
        return max(found.items(), key=lambda pair: pair[1]) if found else None

    @property
    def mean(self) -> float:
        """Mean deviation over classes and splits."""
        values = [
            abs(shares[split] - share)
            for shares in self.classes.values()
            for split, share in self.wanted.items()
        ]
        return sum(values) / len(values) if values else 0.0

    def as_json(self) -> dict[str, Any]:
        worst = self.worst
        return {
            "wanted": dict(self.wanted),
            "images": dict(self.images),
            "objects_per_class": {name: dict(shares) for name, shares in self.classes.items()},
            "mean_deviation": self.mean,
            "largest_deviation": {"class": worst[0], "share": worst[1]} if worst else None,
        }


def balance_of(dataset: Dataset, wanted: Mapping[str, float]) -> Balance:
    """Measure the splits that the samples of `dataset` have."""
    images = Counter(sample.split for sample in dataset.samples)
    objects: Counter[tuple[int, str | None]] = Counter()
    for sample in dataset.samples:
        for category, count in Counter(categories_of(sample.instances)).items():
            objects[category, sample.split] += count
    shares = {split: wanted.get(split, 0.0) for split in SPLITS if split in wanted or images[split]}
    classes = {}
    for index, name in enumerate(dataset.names):
        total = sum(objects[index, split] for split in shares)
        if total:
            classes[name] = {split: objects[index, split] / total for split in shares}
    return Balance(shares, {split: images[split] / len(dataset) for split in shares}, classes)


def uneven_splits(
    balance: Balance, groups: Sequence[Hashable], names: Sequence[str]
) -> Iterator[Finding]:
    """A split that is far from its size because groups must not be divided.

    groups: one value per image, equal for those that stay together. names: of the images.
    """
    sizes = Counter(groups)
    total = len(groups)
    key, largest = max(sizes.items(), key=lambda pair: pair[1])
    example = names[list(groups).index(key)]
    for split, share in balance.images.items():
        if abs(share - balance.wanted[split]) > max(_UNEVEN, 1 / total):
            text = (
                f"{split} has {share:.1%} of the images instead of {balance.wanted[split]:.1%}: "
                f"there are {len(sizes)} groups that stay together, the largest of {largest} "
                f"images ({example}, …)"
            )
            yield Finding("split.uneven", "warning", text)
