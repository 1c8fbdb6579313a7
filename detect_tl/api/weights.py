"""Pretrained weights: what there is, what a file is, getting one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.transfer.fetch import LocatedWeights
    from detect_tl.transfer.library import WeightsRow
    from detect_tl.transfer.manifest import WeightsEntry


@dataclass(frozen=True, slots=True)
class WeightsList:
    """All weights that can be named."""

    rows: tuple[WeightsRow, ...]

    def as_json(self) -> dict[str, Any]:
        return {"weights": [_row(row) for row in self.rows]}


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """What is known of one checkpoint.

    row: of an official name. model: of a file, read from the checkpoint itself.
    """

    row: WeightsRow | None
    file: Path | None
    sha256: str | None
    recognised: str
    model: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        return {
            "official": _row(self.row) if self.row else None,
            "file": str(self.file) if self.file else None,
            "sha256": self.sha256,
            "recognised": self.recognised,
            "model": self.model,
        }


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A checkpoint on this machine."""

    located: LocatedWeights

    def as_json(self) -> dict[str, Any]:
        found = self.located
        return {
            "path": str(found.path),
            "name": found.name,
            "sha256": found.sha256,
            "origin": found.origin,
            "verified": found.verified,
        }


def weights_list() -> WeightsList:
    """All weights with a name, and where each is found on this machine; no network."""
    from detect_tl.transfer.library import list_weights

    return WeightsList(tuple(list_weights()))


def weights_info(name_or_path: str, *, trust: bool = False) -> WeightsInfo:
    """What a name stands for, or what a file holds; no network.

    Raises WeightsError for an unknown name, or a file that is no checkpoint or is refused.
    """
    from detect_tl.core.errors import WeightsError
    from detect_tl.transfer.library import describe_file, describe_name

    row: WeightsRow | None = None
    try:
        row = describe_name(name_or_path)
    except WeightsError:
        if not Path(name_or_path).exists():
            raise
    path = row.path if row else Path(name_or_path)
    if path is None:
        return WeightsInfo(row, None, None, "not on this machine", None)
    found = describe_file(path)
    model = _model(found.path, trust=trust)
    return WeightsInfo(row, found.path, found.sha256, found.recognised.description, model)


def weights_fetch(
    name: str, *, to: Path | None = None, trust: bool = False, progress: Progress | None = None
) -> WeightsFile:
    """Download official weights into `to`, or into the user's cache, checked by their SHA-256.

    Nothing is downloaded when the right file is there already.

    Raises WeightsError when the name is unknown, the release cannot be reached, or what it sent
    is not the file.
    """
    from detect_tl.transfer.fetch import fetch
    from detect_tl.transfer.manifest import find

    return WeightsFile(fetch(find(name), to=to, trust=trust, progress=progress))


def weights_path(
    name: str, *, trust: bool = False, progress: Progress | None = None
) -> WeightsFile:
    """The file that `train --weights NAME` would start from; downloaded when it is not here."""
    from detect_tl.transfer.fetch import locate

    return WeightsFile(locate(name, trust=trust, progress=progress))


def _row(row: WeightsRow) -> dict[str, Any]:
    return {
        **_entry(row.entry),
        "path": str(row.path) if row.path else None,
        "origin": row.origin,
        "size_matches": row.matches,
    }


def _entry(entry: WeightsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "family": entry.family,
        "task": entry.task,
        "parameters": entry.parameters,
        "size": entry.size,
        "sha256": entry.sha256,
        "trained_on": entry.trained_on,
        "licence": entry.licence,
        "url": entry.url or None,
    }


def _model(path: Path, *, trust: bool) -> dict[str, Any]:
    from detect_tl.models.checkpoint import load_checkpoint

    loaded = load_checkpoint(path, trust=trust)
    return {
        "task": loaded.task,
        "architecture": Path(str(loaded.yaml.get("yaml_file", ""))).stem or None,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "classes": list(loaded.names),
        "facts": {key: str(value) for key, value in loaded.facts.items()},
    }
