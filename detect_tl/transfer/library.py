"""What can be said of weights without loading them: the rows of `weights list` and `info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detect_tl.transfer.fetch import Origin, find_here, locate
from detect_tl.transfer.manifest import STARTER, Recognised, WeightsEntry, find, official, recognise


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """Weights with a name, and the file that would be used for them.

    matches: whether that file has the size of the official one (False: it would be refused); None
        where there is no file, or no size to compare with.
    """

    entry: WeightsEntry
    path: Path | None
    origin: Origin | None
    matches: bool | None


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file on this machine, by its checksum alone. size: bytes."""

    path: Path
    size: int
    sha256: str
    recognised: Recognised


def list_weights() -> list[WeightsRow]:
    """All weights with a known checksum and the embedded starter, with where each is found."""
    return [describe_name(entry.name) for entry in (*official(), find(STARTER))]


def describe_name(name: str) -> WeightsRow:
    """Look a name up, on this machine only. Raises WeightsError for an unknown name."""
    entry = find(name)
    found = find_here(entry)
    if found is None:
        return WeightsRow(entry, None, None, None)
    path, origin = found
    matches = None if entry.size is None else path.stat().st_size == entry.size
    return WeightsRow(entry, path, origin, matches)


def describe_file(path: Path) -> WeightsFile:
    """Hash a file and say whether it is an official one. Raises WeightsError when it is missing."""
    located = locate(path)
    return WeightsFile(
        located.path,
        located.path.stat().st_size,
        located.sha256,
        recognise(located.sha256),
    )
