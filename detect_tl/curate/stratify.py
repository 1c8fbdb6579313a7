"""Dividing groups of images into parts so that every class is divided alike.

First by iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011), then by exchanging
groups between parts as long as that brings the shares of images and objects of some class nearer
to what was wanted.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Multiplications spent on exchanges: about a second. Where images are so many that this allows
# few, the first step alone is within a fraction of a percent.
_WORK = 3e8
_MOST_NUMBERS = 4e7
_EXACT = 9  # decimals: what differs by less is a tie on any machine


@dataclass(frozen=True, slots=True)
class Group:
    """Images that stay together. images, objects: by class, how many have it, how many there are.

    size: number of images.
    """

    size: int
    images: Mapping[int, int]
    objects: Mapping[int, int]


def divide(groups: Sequence[Group], shares: Sequence[float], seed: int) -> list[int]:
    """The part of every group, as an index into `shares`, which add up to 1.

    Groups should come in random order; ties go to the first.
    """
    if len(shares) == 1:
        return [0] * len(groups)
    wanted = whole_shares(sum(group.size for group in groups), shares)
    # Large groups first: the small ones then fill what is left.
    order = sorted(range(len(groups)), key=lambda k: -groups[k].size)
    ordered = [groups[k] for k in order]
    chosen = _stratify(ordered, shares, wanted)
    held = _shares_held(ordered)
    if held.size:
        chosen = _Exchange(chosen, held, shares, wanted).run(random.Random(seed))
    parts = [0] * len(groups)
    for place, part in zip(order, chosen, strict=True):
        parts[place] = part
    return parts


def whole_shares(total: int, shares: Sequence[float]) -> list[int]:
    """`total` divided into whole numbers: largest remainders are rounded up."""
    exact = [share * total for share in shares]
    whole = [math.floor(round(value, 6)) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda k: whole[k] - exact[k])
    for k in by_remainder[: total - sum(whole)]:
        whole[k] += 1
    return whole


def _stratify(groups: Sequence[Group], shares: Sequence[float], wanted: Sequence[int]) -> list[int]:
    """The rarest class first, each group to the part that still lacks most of that class."""
    room = list(wanted)
    holders: dict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        for label in sorted(group.images):
            holders[label].append(place)
    totals = _totals(group.images for group in groups)
    lacking = {label: [share * totals[label] for share in shares] for label in holders}
    chosen = [-1] * len(groups)

    def give(place: int, lack: Sequence[float]) -> None:
        group = groups[place]
        fits = [k for k in range(len(shares)) if room[k] >= group.size] or range(len(shares))
        part = max(fits, key=lambda k: (round(lack[k], _EXACT), room[k]))
        chosen[place] = part
        room[part] -= group.size
        for label, count in group.images.items():
            lacking[label][part] -= count

    left = {label: len(held) for label, held in holders.items()}
    while left:
        rarest = min(left, key=lambda label: (left[label], label))
        for place in holders[rarest]:
            if chosen[place] < 0:
                give(place, lacking[rarest])
                for label in groups[place].images:
                    left[label] -= label in left and label != rarest
        del left[rarest]
    for place in range(len(groups)):
        if chosen[place] < 0:
            give(place, room)
    return chosen


def _totals(counts: Iterable[Mapping[int, int]]) -> Counter[int]:
    totals: Counter[int] = Counter()
    for found in counts:
        totals.update(found)
    return totals


class _Exchange:
    """Moves groups, or swaps them, as long as that lowers the sum of squares of what is `over`.

    parts: (groups,) the part of each. held: see `_shares_held`.
    over: (parts, columns) what a part holds above its share of each column.
    """

    def __init__(
        self,
        chosen: Sequence[int],
        held: NDArray[np.float64],
        shares: Sequence[float],
        wanted: Sequence[int],
    ) -> None:
        self.parts = np.asarray(chosen)
        self.held = held
        rows = [held[self.parts == k].sum(axis=0) - share for k, share in enumerate(shares)]
        self.over = np.stack(rows)
        self.over[:, 0] += np.asarray(shares) - np.asarray(wanted) / sum(wanted)

    def run(self, order: random.Random) -> list[int]:
        """Try groups at random until none has found a partner for long; return the parts."""
        groups, idle = len(self.held), 0
        for place in order.choices(range(groups), k=int(min(10 * groups, _WORK / self.held.size))):
            idle += 1
            for there in range(len(self.over)):
                if there != self.parts[place] and self._trade(place, there):
                    idle = 0
            if idle > 2 * groups:
                break
        parts: list[int] = self.parts.tolist()
        return parts

    def _trade(self, place: int, there: int) -> bool:
        """Make the best move of one group to another part, if any makes the whole better.

        None may take a part further from its number of images, which is the first column.
        """
        held, here, over = self.held, self.parts[place], self.over
        returned = np.flatnonzero(self.parts == there)
        # The row at the end is the move without anything in return.
        moved = np.concatenate([held[place] - held[returned], held[place][None]])
        change = 2 * moved * (over[there] - over[here]) + 2 * moved**2
        total = np.round(change.sum(axis=1), _EXACT)
        total[np.round(change[:, 0], _EXACT) > 0] = 0
        best = int(np.argmin(total))
        if total[best] >= 0:
            return False
        over[here] -= moved[best]
        over[there] += moved[best]
        self.parts[place] = there
        if best < len(returned):
            self.parts[returned[best]] = here
        return True


def _shares_held(groups: Sequence[Group]) -> NDArray[np.float64]:
    """(groups, columns) the share of a group: of all images; by class, of its images and objects.

    Empty when there would be too many numbers, or no two groups to exchange.
    """
    images = _totals(group.images for group in groups)
    objects = _totals(group.objects for group in groups)
    labels = {label: k for k, label in enumerate(sorted(images))}
    columns = 1 + 2 * len(labels)
    if len(groups) < 2 or len(groups) * columns > _MOST_NUMBERS:
        return np.zeros((0, 0))
    held = np.zeros((len(groups), columns))
    total = sum(group.size for group in groups)
    for row, group in enumerate(groups):
        held[row, 0] = group.size / total
        for label, count in group.images.items():
            held[row, 1 + 2 * labels[label]] = count / images[label]
        for label, count in group.objects.items():
            held[row, 2 + 2 * labels[label]] = count / objects[label]
    return held
