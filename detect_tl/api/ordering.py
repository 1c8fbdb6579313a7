"""Images in the order in which they are best labelled, and the table that says why."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detect_tl.api.looking import Looked, Looking
from detect_tl.core.dataset import Sample
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress
from detect_tl.curate.ranking import NOBODY, Ranking, rank, uncertainties

_HEADER = ("order", "image", "uncertainty", "distance", "why")


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What a model made of images, and their ranking.

    labelled: images that were labelled before them. by: what images were compared by, in words.
    """

    looked: Looked
    labelled: Sequence[Path]
    by: str
    ranking: Ranking

    @classmethod
    def of(
        cls,
        looking: Looking,
        images: Sequence[Sample],
        labelled: Sequence[Path],
        report: Report,
        progress: Progress,
    ) -> Order:
        """Look at images with a model that has an embedding, and order them."""
        assert looking.embedding is not None, "only looks tell what is alike"
        known = looking.embedding.of_files(labelled, progress)
        looked = looking.at(images, report, progress)
        with progress.step("Ranking"):
            ranking = rank(uncertainties(looked.doubts), looked.features, known)
        return cls(looked, labelled, looking.embedding.by, ranking)

    def __len__(self) -> int:
        return len(self.ranking.order)

    def best(self, count: int | None) -> list[Sample]:
        """So many of the images, or all, the most instructive first."""
        return [self.looked.samples[place] for place in self.ranking.order[:count].tolist()]

    def write(self, path: Path) -> None:
        """Write a row for every image, the most instructive first."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(_HEADER)
            for number, place in enumerate(self.ranking.order.tolist(), start=1):
                table.writerow((number, *self._row(place)))

    def _row(self, place: int) -> tuple[str, ...]:
        far = self.ranking.distance[place]
        return (
            str(self.looked.samples[place].image),
            f"{self.ranking.uncertainty[place]:.6g}",
            "" if np.isnan(far) else f"{far:.6g}",
            f"doubts {self._doubted(place)}; {self._likeness(place)}",
        )

    def _doubted(self, place: int) -> str:
        counts = self.looked.in_doubt[place].items()
        return ", ".join(f"{count} {name}" for name, count in counts) or "nothing"

    def _likeness(self, place: int) -> str:
        nearest = int(self.ranking.nearest[place])
        if nearest == NOBODY:
            return "nothing was labelled before it"
        others = len(self.labelled)
        of_ours = self.looked.samples[nearest - others].image if nearest >= others else None
        name = (of_ours or self.labelled[nearest]).name
        return f"looks {'the same as' if self.ranking.distance[place] == 0 else 'most like'} {name}"
