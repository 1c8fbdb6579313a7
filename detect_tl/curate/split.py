"""Dividing images into train, val and test: as the source says, else by seed and class."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from detect_tl.core.dataset import SPLITS, Dataset, Sample, categories_of
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Report
from detect_tl.curate.stratify import Group, divide

DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One of "train", "val", "test" per sample, and why.

    wanted: share of the images that each split was to get; None where the source decided.
    """

    splits: tuple[str, ...]
    reason: str
    wanted: Mapping[str, float] | None = None

    def counts(self) -> dict[str, int]:
        """Images per split, in the order train, val, test; a split without images is left out."""
        found = Counter(self.splits)
        return {split: found[split] for split in SPLITS if found[split]}

    def apply(self, dataset: Dataset) -> Dataset:
        samples = zip(dataset.samples, self.splits, strict=True)
        divided = (s if s.split == split else replace(s, split=split) for s, split in samples)
        return replace(dataset, samples=tuple(divided))


def plan_split(
    dataset: Dataset,
    fractions: Sequence[float] | None = None,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> SplitPlan:
    """Decide the split of every sample.

    fractions: shares of train, val and, if given, test, or how many images each is to get. With
        None, the splits of the source are honoured, and what they leave open is divided as
        0.8, 0.1, 0.1.
    groups: one value per sample; samples of one value stay together.
    Raises UsageError for impossible fractions, DataError when train or val would be empty.
    """
    asked = shares_of(fractions or DEFAULT_FRACTIONS, len(dataset))
    shares = dict(zip(SPLITS, asked, strict=False))
    keys: Sequence[Hashable] = range(len(dataset)) if groups is None else groups
    given = {s.split for s in dataset.samples if s.split}
    fixed, reason = _fixed(given, asked=fractions is not None)
    open_shares, reason = _open_shares(shares, fixed, reason)
    known = [s.split if s.split in fixed else None for s in dataset.samples]
    pool = [k for k, split in enumerate(known) if split is None]
    if pool and len(open_shares) == 1:
        reason += f"; {len(pool)} images that are in none of them went to train"
    drawn = _draw([dataset.samples[k] for k in pool], [keys[k] for k in pool], open_shares, seed)
    for place, split in zip(pool, drawn, strict=True):
        known[place] = split
    wanted = None if fixed else open_shares
    plan = SplitPlan(tuple(split or "train" for split in known), reason, wanted)
    _refuse_empty(plan, len(set(keys)))
    return plan


def divides(dataset: Dataset, fractions: Sequence[float] | None) -> bool:
    """Whether `plan_split` has to divide, and does not only take over the splits of the source."""
    given = {s.split for s in dataset.samples}
    return fractions is not None or not {"train", "val"} <= given


def plan_folds(
    dataset: Dataset, folds: int, seed: int = 0, groups: Sequence[Hashable] | None = None
) -> list[SplitPlan]:
    """As many plans as folds: each image is in val once, and in train everywhere else.

    Raises UsageError for fewer than two folds, DataError when there are too few groups of images.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds are none", hint="Give two or more; five are usual.")
    keys: Sequence[Hashable] = range(len(dataset)) if groups is None else groups
    members = _members(dataset.samples, keys, seed)
    if len(members) < folds:
        raise DataError(
            f"{len(members)} groups of images cannot be divided into {folds} folds",
            hint="Ask for fewer folds, or for smaller groups.",
        )
    stratified = [_group([dataset.samples[k] for k in places]) for places in members]
    parts = _spread(members, divide(stratified, [1 / folds] * folds, seed), 0)
    if len(set(parts)) < folds:
        largest = max(group.size for group in stratified)
        raise DataError(
            f"a group of {largest} images is larger than several of {folds} folds together",
            hint="Ask for fewer folds, or for smaller groups.",
        )
    wanted = {"train": 1 - 1 / folds, "val": 1 / folds}
    return [
        SplitPlan(
            tuple("val" if part == fold else "train" for part in parts),
            f"fold {fold + 1} of {folds}",
            wanted,
        )
        for fold in range(folds)
    ]


def settle_splits(dataset: Dataset, report: Report) -> tuple[Dataset, str]:
    """Give every image a split without dividing anything, and say why it is so.

    Splits stay as they are; what has none goes to train.
    """
    given = {s.split for s in dataset.samples}
    listed = ", ".join(split for split in SPLITS if split in given)
    if None not in given:
        return dataset, f"the splits as they were ({listed})"
    samples = tuple(s if s.split else replace(s, split="train") for s in dataset.samples)
    if not listed:
        return replace(dataset, samples=samples), "there were no splits; all images are in train"
    open_ = sum(s.split is None for s in dataset.samples)
    report.changed["images-put-into-train"] += open_
    reason = f"the splits as they were ({listed}); {open_} images that were in none are in train"
    return replace(dataset, samples=samples), reason


def shares_of(asked: Sequence[float], total: int) -> tuple[float, ...]:
    """Shares that add up to 1, from shares or from numbers of images.

    Raises UsageError when they are neither, or when the numbers do not add up to `total`.
    """
    counts = sum(asked) > 1 and all(math.isfinite(n) and n >= 0 and n == int(n) for n in asked)
    if not counts:
        return check_fractions(asked)
    if sum(asked) != total:
        raise UsageError(
            f"the split {','.join(f'{n:g}' for n in asked)} asks for {sum(asked):g} images; "
            f"there are {total}",
            hint="Give numbers that add up to all of them, or shares such as 0.8,0.1,0.1.",
        )
    return check_fractions([n / total for n in asked])


def check_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Return the fractions; raise UsageError when they are not two or three that add up to 1."""
    good = (
        len(fractions) in (2, 3)
        and all(math.isfinite(f) and f >= 0 for f in fractions)
        and abs(sum(fractions) - 1) < 1e-6
        and fractions[0] > 0
        and fractions[1] > 0
    )
    if not good:
        raise UsageError(
            f"the split {','.join(f'{f:g}' for f in fractions)} is impossible",
            hint="Give shares of train, val and test that add up to 1: 0.8,0.1,0.1 or 0.9,0.1.",
        )
    return tuple(fractions)


def _fixed(given: set[str], *, asked: bool) -> tuple[set[str], str]:
    """The splits of the source that are kept, and the reason in words."""
    listed = ", ".join(split for split in SPLITS if split in given)
    if asked:
        over = f", in place of the source's own ({listed})" if given else ""
        return set(), f"divided as asked for{over}"
    if {"train", "val"} <= given:
        return given, f"the source's own splits ({listed})"
    if "test" in given and given != {"test"}:
        return {"test"}, "the source's own test split; it has no val split, so train was divided"
    if given == {"test"}:
        return set(), "the source has only a test split, so all images were divided"
    if given:
        return set(), f"the source has only a {listed} split, so all images were divided"
    return set(), "the source has no splits, so images were divided by seed and class"


def _open_shares(
    shares: dict[str, float], fixed: set[str], reason: str
) -> tuple[dict[str, float], str]:
    """The shares of the images that are still open."""
    if {"train", "val"} <= fixed:
        return {"train": 1.0}, reason
    left = {split: share for split, share in shares.items() if split not in fixed and share > 0}
    total = sum(left.values())
    left = {split: share / total for split, share in left.items()}
    return left, f"{reason} ({', '.join(f'{s} {v:.0%}' for s, v in left.items())})"


def _draw(
    samples: Sequence[Sample], keys: Sequence[Hashable], shares: dict[str, float], seed: int
) -> list[str]:
    """Divide samples so that every class is divided alike; those of one key stay together."""
    if len(shares) == 1:
        return [next(iter(shares))] * len(samples)
    members = _members(samples, keys, seed)
    groups = [_group([samples[k] for k in places]) for places in members]
    names = list(shares)
    chosen = [names[part] for part in divide(groups, list(shares.values()), seed)]
    _fill_empty(chosen, [group.size for group in groups], shares)
    return _spread(members, chosen, "")


def _members(samples: Sequence[Sample], keys: Sequence[Hashable], seed: int) -> list[list[int]]:
    """The places of the samples of every key, in an order that the seed alone decides."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)

    def name(group: list[int]) -> tuple[str, str]:
        return min((samples[k].image.name, str(samples[k].image)) for k in group)

    # The order of the source must not matter: the same images divide alike in any format.
    members = sorted(groups.values(), key=name)
    random.Random(seed).shuffle(members)
    return members


def _group(samples: Sequence[Sample]) -> Group:
    images: Counter[int] = Counter()
    objects: Counter[int] = Counter()
    for sample in samples:
        found = categories_of(sample.instances)
        objects.update(found)
        images.update(set(found))
    return Group(len(samples), images, objects)


def _spread(members: Sequence[Sequence[int]], chosen: Sequence[T], empty: T) -> list[T]:
    """What was chosen for every group, for each of its samples."""
    drawn = [empty] * sum(map(len, members))
    for places, value in zip(members, chosen, strict=True):
        for place in places:
            drawn[place] = value
    return drawn


def _fill_empty(chosen: list[str], sizes: Sequence[int], shares: dict[str, float]) -> None:
    """Give train and val, in a small set, at least one group each."""
    for split in ("val", "train"):
        if split in shares and split not in chosen and len(chosen) > 1:
            counts = Counter(chosen)
            largest = max(shares, key=lambda s: counts[s])
            if counts[largest] > 1:
                donors = [k for k, other in enumerate(chosen) if other == largest]
                chosen[min(donors, key=lambda k: sizes[k])] = split


def _refuse_empty(plan: SplitPlan, groups: int) -> None:
    counts = plan.counts()
    for split in ("train", "val"):
        if not counts.get(split) and groups < min(2, len(plan.splits)):
            raise DataError(
                f"the split leaves no image for {split}: all {len(plan.splits)} images belong to "
                "one group, which must not be divided",
                hint="Images that look alike stay together; group by something finer.",
            )
        if not counts.get(split):
            raise DataError(
                f"the split leaves no image for {split} ({len(plan.splits)} images; {plan.reason})",
                hint="Add images, or give other shares with --split, for example 0.5,0.5.",
            )
