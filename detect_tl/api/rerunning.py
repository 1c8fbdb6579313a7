"""Doing a run once more, and seeing whether the result is the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import DataError, UsageError, WeightsError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.api.training import TrainResult
    from detect_tl.training.folder import RunFolder

_NOT_COMPARED = ("time",)


@dataclass(frozen=True, slots=True)
class RerunResult:
    """A run, and the same one once more.

    same_weights: whether the best checkpoints are equal to the bit. differs_from: the first epoch
    whose numbers differ, None when none does. scores: mAP50-95 before and now. environment: what
    differs between the two machines and installations.
    """

    run: Path
    again: TrainResult
    same_weights: bool
    differs_from: int | None
    scores: tuple[float | None, float | None]
    environment: dict[str, list[Any]]

    @property
    def same(self) -> bool:
        return self.same_weights and self.differs_from is None

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "again": self.again.as_json(),
            "same": self.same,
            "same_weights": self.same_weights,
            "differs_from_epoch": self.differs_from,
            "mAP50-95": list(self.scores),
            "environment": self.environment,
        }


def rerun(
    run: str | Path, out: Path | None = None, *, progress: Progress | None = None
) -> RerunResult:
    """Repeat a finished run from what its folder says, and compare the results.

    out: folder of the new run; None: that of the old one with "-again". The old one is not touched.

    Raises UsageError for a run that has not finished, DataError when its pictures or labels, and
    WeightsError when the weights it began with, are no longer what they were.
    """
    from detect_tl.api.training import train
    from detect_tl.core.files import read_json, unused_folder
    from detect_tl.evaluation.compare import differing
    from detect_tl.models.checkpoint import same_tensors
    from detect_tl.training.folder import RunFolder

    old = RunFolder.open(Path(run))
    if old.adaptation.is_file():
        raise UsageError(
            f"the run {old.path} was adapted, not trained",
            hint="Repeat `detect-tl adapt`; adaptation.json says with which settings.",
        )
    if not old.finished:
        raise UsageError(
            f"the run {old.path} has not finished, so there is no result to compare with",
            hint=f"Finish it with `detect-tl resume {old.path}`.",
        )
    _refuse_changed(old)
    target = (
        Path(out)
        if out is not None
        else unused_folder(old.path.with_name(f"{old.path.name}-again"))
    )
    again = train(old.dataset(), progress=progress or Silent(), **_settings(old), out=target)
    new = RunFolder(again.run)
    before = read_json(old.path / "metrics.json") if (old.path / "metrics.json").is_file() else {}
    environments = [read_json(each.path / "environment.json") for each in (old, new)]
    return RerunResult(
        run=old.path,
        again=again,
        same_weights=same_tensors(old.best, new.best),
        differs_from=_first_difference(_curves(old), _curves(new)),
        scores=(_score(before), _score(again.evaluation.as_json())),
        environment=differing(environments),
    )


def _settings(run: RunFolder) -> dict[str, Any]:
    """The settings of a run, for the data set that it left: nothing is read or divided anew."""
    from detect_tl.training.config import OF_SOURCES

    settings = run.config().model_dump(mode="json", exclude={"data", "out"})
    settings |= {**OF_SOURCES, "split": None}
    if run.augmentation.is_file():
        settings["augment"] = str(run.augmentation)
    return settings


def _refuse_changed(run: RunFolder) -> None:
    from detect_tl.core.files import read_json, sha256_file, sha256_files

    folder, recorded = run.dataset(), read_json(run.path / "dataset.json")
    truths = sorted((folder / "annotations").glob("*.json"))
    if sha256_files(truths, folder) != recorded["sha256"]:
        raise DataError(
            "is not the data set that the run was trained on: its annotations have changed",
            path=folder,
            hint="Put them back, or train anew.",
        )
    weights, known = Path(run.config().weights), read_json(run.path / "environment.json")
    if not weights.is_file():
        raise WeightsError(
            "the weights that the run began with are gone",
            path=weights,
            hint="Put the file back, or train anew.",
        )
    if known.get("weights_sha256") not in (None, sha256_file(weights)):
        raise WeightsError(
            "is another file than the one that the run began with",
            path=weights,
            hint="Put that one back, or train anew.",
        )


def _curves(run: RunFolder) -> Mapping[str, Sequence[float]]:
    """The metrics of every epoch; a run without training has none."""
    from detect_tl.evaluation.plots import read_curves

    return read_curves(run.metrics) if run.config().epochs else {}


def _first_difference(
    old: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[float]]
) -> int | None:
    """The first epoch, by its number, in which two runs do not say the same."""
    names = [name for name in old if name not in _NOT_COMPARED]
    if set(names) != {name for name in new if name not in _NOT_COMPARED}:
        return 1
    rows = [list(zip(*(curves[name] for name in names), strict=True)) for curves in (old, new)]
    for number, (a, b) in enumerate(zip(*rows, strict=False), start=1):
        if any(x != y and not (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True)):
            return number
    return None if len(rows[0]) == len(rows[1]) else min(map(len, rows)) + 1


def _score(evaluation: Mapping[str, Any]) -> float | None:
    scores = evaluation.get("mask") or evaluation.get("box") or {}
    value: float | None = scores.get("mAP50-95")
    return value
