"""What `oneshot` would do, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from detect_tl.api.oneshots import AGAINST, SEEDS, check_study, configured
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.words import counted, listed


@dataclass(frozen=True, slots=True)
class OneshotPlan:
    """Where the rows of every class would come from, and what would be drawn.

    known: classes whose rows the weights lend. new: of the others, the training objects that they
    would be computed from. draws: for every number of pictures of each class, how many pictures
    each draw takes. epochs, strategy: of the training beside them.
    """

    weights: Path
    known: tuple[str, ...]
    new: Mapping[str, int]
    draws: Mapping[int, tuple[int, ...]]
    epochs: int
    strategy: str

    def summary(self) -> Iterator[str]:
        """A few lines for people."""
        yield f"weights: {self.weights}"
        if self.known:
            yield f"rows that the weights lend: of {listed(self.known)}"
        if self.new:
            told = ", ".join(f"{name} ({objects})" for name, objects in self.new.items())
            yield f"rows to compute from training objects: of {told}"
        for shots, images in self.draws.items():
            numbers = ", ".join(map(str, images))
            yield f"{shots} of each class: {len(images)} draws, of {numbers} pictures"
        runs = sum(map(len, self.draws.values()))
        if runs:
            trainings = counted(runs, "training")
            epochs = counted(self.epochs, "epoch")
            yield f"{runs} runs without training, and {trainings} of {epochs} by {self.strategy}"

    def as_json(self) -> dict[str, Any]:
        return {
            "weights": str(self.weights),
            "known": list(self.known),
            "new": dict(self.new),
            "draws": {str(shots): list(images) for shots, images in self.draws.items()},
            "epochs": self.epochs,
            "strategy": self.strategy,
        }


def oneshot_plan(
    data: str | Path,
    *,
    shots: Sequence[int] = (),
    seeds: int = SEEDS,
    against: int = AGAINST,
    strategy: str = "freeze",
    out: str | Path = "runs/oneshot",
    progress: Progress | None = None,
    **settings: Any,
) -> OneshotPlan:
    """What `oneshot` would do, or with `shots` `oneshot_study`, with the same settings.

    Nothing is computed and nothing written. Raises what they raise for what cannot be used, but
    not for the folder `out`.
    """
    from detect_tl.curate.shots import draw_shots
    from detect_tl.formats.detect import read_dataset
    from detect_tl.models.checkpoint import load_checkpoint
    from detect_tl.training.data import describe_dataset, place_dataset, task_of
    from detect_tl.transfer.classes import match_classes
    from detect_tl.transfer.fetch import locate
    from detect_tl.transfer.kin import read_kin

    if shots:
        check_study(shots, seeds, against)
    show = progress or Silent()
    config = configured(data, strategy, against if shots else 0, out, settings)
    weights = locate(config.weights, trust=config.trust, progress=show).path
    source = load_checkpoint(weights, trust=config.trust)
    with TemporaryDirectory() as scratch:
        folder, recorded = place_dataset(config, Path(scratch), show, "soft")
        # refuses data without val pictures, and masks from weights that know none
        task_of(config, describe_dataset(folder, recorded, config), source.task)
        dataset = read_dataset(folder).dataset
        train = dataset.in_split("train")
        counts = dict.fromkeys(dataset.names, 0)
        for item in (item for sample in train for item in sample.instances if not item.iscrowd):
            counts[dataset.names[item.category]] += 1
    match = match_classes(source.names, dataset.names, read_kin(config.kin))
    draws = {
        count: tuple(
            len(draw_shots(train, len(dataset.names), count, seed))
            for seed in range(config.seed, config.seed + seeds)
        )
        for count in sorted(set(shots))
    }
    new = {name: counts[name] for name in match.new}
    return OneshotPlan(weights, match.reused, new, draws, against, strategy)
