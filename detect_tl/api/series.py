"""Runs that belong together: of the same data and settings, in a folder that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.folder import RunFolder

# What a run resolves by itself, from the data and the machine.
_RESOLVED = {"data", "out", "task", "weights", "batch", "augment", "kin"}


def on_folder(dataset: Path, config: TrainConfig) -> TrainConfig:
    """The same on a dataset folder, of which nothing is to be said that only annotations need."""
    from detect_tl.training.config import OF_SOURCES

    return config.model_copy(update={**OF_SOURCES, "data": dataset})


def refuse_other_settings(folder: Path, written: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise UsageError, naming what differs, for a folder that was made for something else.

    written, now: `data`, and `settings` by name, of the folder and as asked for.
    """
    pairs = {"data": (written["data"], now["data"])} | {
        name: (written["settings"].get(name), value) for name, value in now["settings"].items()
    }
    other = [f"{name} was {a} and is now {b}" for name, (a, b) in pairs.items() if a != b]
    if other:
        raise UsageError(
            f"{folder} belongs to other data or settings: {'; '.join(other)}",
            hint="Name another --out; or go on with the same settings as before.",
        )


def fingerprint(dataset: Path) -> str:
    """One hash over the annotations of a dataset folder."""
    from detect_tl.core.files import sha256_files
    from detect_tl.formats.prepared import annotation_files

    return sha256_files(annotation_files(dataset), dataset)


def finished(config: TrainConfig, progress: Progress) -> RunFolder:
    """The run of a configuration: as it is when it has finished, else to its end."""
    from detect_tl.training.folder import RunFolder
    from detect_tl.training.run import resume, train

    if not config.out.exists():
        return train(config, progress).run
    run = RunFolder.open(config.out)
    found, wanted = (c.model_dump(exclude=_RESOLVED) for c in (run.config(), config))
    if found != wanted:
        raise UsageError(
            f"{run.path} was trained with other settings than the runs beside it",
            hint="Remove it, and repeat the command: it is then trained again.",
        )
    return run if run.finished else resume(run.path, progress).run
