"""Finding weights by name or path: on this machine first, then at the official release."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detect_tl.core.embedded import checkout, embedded_starter
from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.files import atomic_path, sha256_file
from detect_tl.core.progress import Progress, Silent
from detect_tl.transfer.download import DownloadError, download
from detect_tl.transfer.manifest import URL_VARIABLE, WeightsEntry, find, is_known, recognise

FOLDER_VARIABLE = "DETECT_TL_WEIGHTS"
"""Environment variable naming a folder with checkpoints under their official names."""

OFFLINE_VARIABLE = "DETECT_TL_OFFLINE"
"""Environment variable that forbids the network when it is 1, true, yes or on."""

Origin = Literal["path", "DETECT_TL_WEIGHTS", "weights/", "cache", "download", "embedded"]


@dataclass(frozen=True, slots=True)
class LocatedWeights:
    """A checkpoint file on this machine.

    name: official name it was found by, or whose checksum it has; None for any other file.
    verified: whether its checksum is that of the official file.
    """

    path: Path
    name: str | None
    sha256: str
    origin: Origin
    verified: bool


def locate(
    name_or_path: str | Path,
    *,
    trust: bool = False,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> LocatedWeights:
    """Find weights by path or name, downloading an official file that is not on this machine.

    Looked up in this order: path (also of a run folder, for its best checkpoint), the folder that
    DETECT_TL_WEIGHTS names, `weights/`, the user's cache, the official release. A path is taken as
    it is; a file found by an official name must have its checksum.

    trust: accept a file of an official name with another checksum, or without a known one.
    offline: do not touch the network; None: as DETECT_TL_OFFLINE says.

    Raises WeightsError when there are no such weights, or the file is refused.
    """
    path = _as_path(name_or_path)
    if path is not None:
        sha256 = sha256_file(path)
        known = recognise(sha256)
        return LocatedWeights(path, known.name, sha256, "path", known.kind == "official")
    entry = find(str(name_or_path))
    if entry.embedded:
        return _starter(entry)
    found = find_here(entry)
    if found is not None:
        return _checked(entry, *found, trust=trust)
    return fetch(entry, trust=trust, offline=offline, progress=progress)


def fetch(
    entry: WeightsEntry,
    *,
    to: Path | None = None,
    trust: bool = False,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> LocatedWeights:
    """Download official weights into the folder `to` (None: the user's cache) and check them.

    The embedded starter is copied to `to`, or else stays where it is.

    Raises WeightsError when they cannot be had, naming what to do instead; UsageError when `to` is
    a file; MachineError when the disk is full or may not be written.
    """
    if to is not None and to.exists() and not to.is_dir():
        raise UsageError(f"{to} is a file", hint="Name a folder to download into.")
    if entry.embedded:
        return _starter(entry, to)
    if entry.sha256 is None and not trust:
        raise WeightsError(
            f"no checksum is known for {entry.file}, so a download cannot be verified",
            hint=f"Repeat with --trust to take whatever {entry.url} sends.",
        )
    if is_offline() if offline is None else offline:
        raise _unavailable(entry, "the network is not to be used")
    target = (to or cache_folder()) / entry.file
    try:
        download(
            entry.url,
            target,
            sha256=entry.sha256,
            size=entry.size,
            progress=progress or Silent(),
        )
    except DownloadError as error:
        raise _unavailable(entry, str(error)) from error
    return LocatedWeights(
        target, entry.name, sha256_file(target), "download", entry.sha256 is not None
    )


def find_here(entry: WeightsEntry) -> tuple[Path, Origin] | None:
    """Return the file under the name of `entry` that `locate` would take, unchecked, and whence.

    Raises WeightsError when DETECT_TL_WEIGHTS names no folder.
    """
    if entry.embedded:
        starter = embedded_starter()
        return (starter, "embedded") if starter else None
    places = ((folder / entry.file, origin) for folder, origin in search_folders())
    return next((place for place in places if place[0].is_file()), None)


def search_folders() -> Iterator[tuple[Path, Origin]]:
    """Folders that are searched for a name, in order."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise WeightsError(
                f"{FOLDER_VARIABLE} names {named}, which is not a folder",
                hint="Set it to a folder with .pt files, or unset it.",
            )
        yield folder, "DETECT_TL_WEIGHTS"
    yield Path("weights"), "weights/"
    root = checkout()
    if root is not None and root != Path.cwd():
        yield root / "weights", "weights/"
    yield cache_folder(), "cache"


def cache_folder() -> Path:
    """Where downloads are kept for this user. It need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("detect-tl", appauthor=False) / "weights"


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    return os.environ.get(OFFLINE_VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def _as_path(name_or_path: str | Path) -> Path | None:
    """The file that is meant, or None for a name.

    Raises WeightsError when a path is meant and nothing is there.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    best = path / "weights" / "best.pt"
    if best.is_file():
        return best
    hint = "Name a .pt file, a run folder, or official weights such as yolo11n."
    if isinstance(name_or_path, Path) or any(c in name_or_path for c in "/\\"):
        problem = "is a folder without weights/best.pt" if path.is_dir() else "does not exist"
        raise WeightsError(problem, path=path, hint=hint)
    if path.suffix and not is_known(str(name_or_path)):
        raise WeightsError(
            "does not exist, and no official weights are called so", path=path, hint=hint
        )
    return None


def _starter(entry: WeightsEntry, to: Path | None = None) -> LocatedWeights:
    path = embedded_starter()
    if path is None:
        raise WeightsError(
            f"this installation comes without the starter checkpoint ({entry.trained_on})",
            hint="Install detect-tl from a release, or name other weights, for example yolo11n.",
        )
    if to is not None and (to / entry.file).resolve() != path.resolve():
        with atomic_path(to / entry.file) as scratch:
            shutil.copyfile(path, scratch)
        path = to / entry.file
    return LocatedWeights(path, entry.name, sha256_file(path), "embedded", verified=False)


def _checked(entry: WeightsEntry, path: Path, origin: Origin, *, trust: bool) -> LocatedWeights:
    """Compare a file found by name with the checksum of that name."""
    sha256 = sha256_file(path)
    verified = sha256 == entry.sha256
    if verified or trust:
        return LocatedWeights(path, entry.name, sha256, origin, verified)
    if entry.sha256 is None:
        raise WeightsError(
            f"no checksum is known for {entry.file}, so it cannot be verified",
            path=path,
            hint="Name the file by its path to use it as it is, or repeat with --trust.",
        )
    known = recognise(sha256)
    what = "" if known.kind == "unknown" else f"; it is {known.description}"
    if known.kind == "official":
        what = f"; it is the official {known.name}.pt under another name"
    raise WeightsError(
        f"is not the official {entry.file}: its SHA-256 is {sha256}, expected {entry.sha256}{what}",
        path=path,
        hint="Name the file by its path to use it as it is, repeat with --trust, or move it away"
        " to have the official one fetched.",
    )


def _unavailable(entry: WeightsEntry, reason: str) -> WeightsError:
    """Say what to do by hand where the network does not help."""
    size = f" ({entry.size / 1e6:.1f} MB)" if entry.size else ""
    sum_ = f" Its SHA-256 is {entry.sha256}." if entry.sha256 else ""
    return WeightsError(
        f"{entry.file} is not on this machine and was not downloaded: {reason}",
        hint=f"Download {entry.url}{size} elsewhere and put it into {Path.cwd() / 'weights'} or a"
        f" folder named by {FOLDER_VARIABLE}, or name a mirror with {URL_VARIABLE}.{sum_}",
    )
