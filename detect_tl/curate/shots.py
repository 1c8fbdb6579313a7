"""A few pictures of every class, as somebody has them who has just begun."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detect_tl.core.dataset import Sample


def draw_shots(samples: Sequence[Sample], classes: int, shots: int, seed: int) -> list[int]:
    """Indices of pictures such that `shots` of them hold each class, ascending.

    In an order that the seed decides, a picture is taken while one of its classes has fewer. So
    what is drawn for few shots is among what is drawn for more with the same seed; a picture counts
    for all the classes on it, and of a class with fewer pictures all are taken. Crowds do not
    count.
    """
    held = np.zeros(classes, np.int64)
    chosen = []
    for index in np.random.default_rng(seed).permutation(len(samples)).tolist():
        found = {item.category for item in samples[index].instances if not item.iscrowd}
        if any(held[label] < shots for label in found):
            chosen.append(index)
            held[list(found)] += 1
    return sorted(chosen)
