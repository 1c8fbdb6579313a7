"""Which detections of a teacher are good enough to be taught, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.evaluation.agreement import match_views
from detect_tl.evaluation.overlaps import Ints

CONFIRMED = 0.8
"""The share of a class's detections above its gate that another view of the picture confirms."""

# Lower ones are mostly wrong, whatever confirms them; nothing should need more than the other.
_LEAST_GATE, _MOST_GATE = 0.25, 0.9

Pairs = Sequence[tuple[Detections, Detections]]


def derive_gates(pairs: Pairs, names: Sequence[str]) -> dict[str, float]:
    """For every class, the confidence from which on views confirm each other.

    pairs: of every picture, what was found in both views. It is the lowest score at which
    `CONFIRMED` of the detections that reach it are found again; 0.9 where there is none such.
    """
    found: dict[int, list[tuple[float, bool]]] = {k: [] for k in range(len(names))}
    for one, other in pairs:
        again = np.isin(np.arange(len(one)), match_views(one, other).one)
        for label, score, confirmed in zip(one.class_id, one.score, again, strict=True):
            found[int(label)].append((float(score), bool(confirmed)))
    return {name: _gate(found[label]) for label, name in enumerate(names)}


def gates_for(
    names: Sequence[str], stored: Mapping[str, float], pairs: Pairs
) -> tuple[dict[str, float], str]:
    """The gate of every class and, in words, where it comes from.

    stored: the thresholds of best F1 that a run keeps; for a class without one it is derived.
    """
    derived = derive_gates(pairs, names)
    gates = {name: stored.get(name, derived[name]) for name in names}
    own = sum(name in stored for name in names)
    if own == len(names):
        return gates, "the run's own thresholds, where F1 was best"
    confirmed = f"{CONFIRMED:.0%} of its detections are found again in the mirrored picture"
    if not own:
        return gates, f"of every class the confidence from which {confirmed}"
    return gates, f"the run's own thresholds; where a class has none, from where {confirmed}"


def trusted(one: Detections, other: Detections, gates: Sequence[float]) -> Ints:
    """The rows of `one` that are taught: what reaches the gate of its class and is found again.

    other: what the mirrored picture gave, mapped back.
    """
    least = np.asarray(gates, np.float64)
    rows = match_views(one, other).one
    return np.sort(rows[one.score[rows] >= least[one.class_id[rows]]])


def _gate(found: Sequence[tuple[float, bool]]) -> float:
    if not found:
        return _MOST_GATE
    score, confirmed = (np.array(column) for column in zip(*found, strict=True))
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(confirmed[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= CONFIRMED)
    lowest = float(score[order][enough[-1]]) if len(enough) else _MOST_GATE
    return float(np.clip(lowest, _LEAST_GATE, _MOST_GATE))
