"""Notes about single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from detect_tl.curate.checks.base import Note
from detect_tl.curate.checks.snapshot import Snapshot
from detect_tl.curate.rules import place_of


def note_at(snapshot: Snapshot, row: int, text: str) -> Note:
    """A note that names the class and the image of an object."""
    sample = snapshot.sample_of(row)
    message = f"{snapshot.label(row)} in {sample.image.name}: {text}"
    return Note(message, place_of(sample), sample.image, snapshot.box(row))


def notes_at(
    snapshot: Snapshot, flagged: NDArray[np.bool_], text: Callable[[int], str]
) -> Iterator[Note]:
    """A note for every object that is flagged, in their order; `flagged` is (N,)."""
    for row in np.flatnonzero(flagged).tolist():
        yield note_at(snapshot, row, text(row))
