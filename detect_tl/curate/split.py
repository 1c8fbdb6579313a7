"""Dividing images into train, val and test: as the source says, else by seed and class."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from detect_tl.core.dataset import SPLITS, Dataset, Sample
from detect_tl.core.errors import DataError, UsageError

DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One of "train", "val", "test" per sample, and why."""

    splits: tuple[str, ...]
    reason: str

    def counts(self) -> dict[str, int]:
        """Images per split, in the order train, val, test; a split without images is left out."""
        found = Counter(self.splits)
        return {split: found[split] for split in SPLITS if found[split]}

    def apply(self, dataset: Dataset) -> Dataset:
        samples = zip(dataset.samples, self.splits, strict=True)
        return replace(dataset, samples=tuple(replace(s, split=split) for s, split in samples))


def plan_split(
    dataset: Dataset,
    fractions: Sequence[float] | None = None,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> SplitPlan:
    """Decide the split of every sample.

    fractions: shares of train, val and, if given, test. With None, the splits of the source are
        honoured, and what they leave open is divided as 0.8, 0.1, 0.1.
    groups: one value per sample; samples of one value stay together.
    Raises UsageError for impossible fractions, DataError when train or val would be empty.
    """
    shares = dict(zip(SPLITS, check_fractions(fractions or DEFAULT_FRACTIONS), strict=False))
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
    plan = SplitPlan(tuple(split or "train" for split in known), reason)
    _refuse_empty(plan)
    return plan


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
    """Divide samples so that every class is divided alike.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011): the rarest class first,
    each group to the split that still lacks most of that class.
    """
    if len(shares) == 1:
        return [next(iter(shares))] * len(samples)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    # The order of the source must not matter: the same images divide alike in any format.
    members = sorted(groups.values(), key=lambda g: min(samples[k].image.name for k in g))
    random.Random(seed).shuffle(members)
    labels = [{item.category for k in group for item in samples[k].instances} for group in members]
    chosen = _stratify([len(g) for g in members], labels, shares)
    _fill_empty(chosen, [len(g) for g in members], shares)
    drawn = [""] * len(samples)
    for group, split in zip(members, chosen, strict=True):
        for place in group:
            drawn[place] = split
    return drawn


def _stratify(
    sizes: Sequence[int], labels: Sequence[set[int]], shares: dict[str, float]
) -> list[str]:
    """Give every group a split. sizes: images per group; labels: classes in it."""
    total = sum(sizes)
    wanted = {split: share * total for split, share in shares.items()}
    holders: dict[int, list[int]] = defaultdict(list)
    for place, found in enumerate(labels):
        for label in sorted(found):
            holders[label].append(place)
    lacking = {
        label: {split: share * sum(sizes[k] for k in held) for split, share in shares.items()}
        for label, held in holders.items()
    }
    chosen: list[str] = [""] * len(sizes)

    def give(place: int, label: int | None) -> None:
        lack = lacking[label] if label is not None else wanted
        split = max(shares, key=lambda s: (lack[s], wanted[s]))
        chosen[place] = split
        wanted[split] -= sizes[place]
        for other in labels[place]:
            lacking[other][split] -= sizes[place]

    left = {label: len(held) for label, held in holders.items()}
    while left:
        rarest = min(left, key=lambda label: (left[label], label))
        for place in holders[rarest]:
            if not chosen[place]:
                give(place, rarest)
                for label in labels[place]:
                    left[label] -= label in left and label != rarest
        del left[rarest]
    for place in range(len(sizes)):
        if not chosen[place]:
            give(place, None)
    return chosen


def _fill_empty(chosen: list[str], sizes: Sequence[int], shares: dict[str, float]) -> None:
    """Give train and val, in a small set, at least one group each."""
    for split in ("val", "train"):
        if split in shares and split not in chosen and len(chosen) > 1:
            counts = Counter(chosen)
            largest = max(shares, key=lambda s: counts[s])
            if counts[largest] > 1:
                donors = [k for k, other in enumerate(chosen) if other == largest]
                chosen[min(donors, key=lambda k: sizes[k])] = split


def _refuse_empty(plan: SplitPlan) -> None:
    counts = plan.counts()
    for split in ("train", "val"):
        if not counts.get(split):
            raise DataError(
                f"the split leaves no image for {split} ({len(plan.splits)} images; {plan.reason})",
                hint="Add images, or give other shares with --split, for example 0.5,0.5.",
            )
