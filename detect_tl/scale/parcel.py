"""A data set for nodes that do not have it: sent once to each, in parts, and checked by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.errors import MachineError
from detect_tl.core.files import atomic_folder

_PART = 32 * 2**20  # bytes on their way at once
_FOLDERS = ("annotations", "images", "labels")


@dataclass(frozen=True, slots=True)
class Part:
    """Some files, by their places in the data set. sha256: of all of them, one after the other."""

    files: dict[str, bytes]
    sha256: str

    def whole(self) -> bool:
        return self.sha256 == _sha256(self.files)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a data set consists of.

    path: where it is on the machine of the driver. files: (place, bytes) of each, in parts that
    travel together. sha256: of places, sizes, and the content of what is not a picture.
    """

    path: Path
    parts: tuple[tuple[tuple[str, int], ...], ...]
    sha256: str

    @property
    def bytes(self) -> int:
        return sum(size for part in self.parts for _, size in part)


def manifest_of(folder: Path) -> Manifest:
    """Describe a dataset folder."""
    found = [folder / "data.yaml"]
    for name in _FOLDERS:
        found += (path for path in (folder / name).rglob("*") if path.is_file())
    # what Ultralytics leaves beside labels is each machine's own
    kept = sorted(path for path in found if path.suffix != ".cache")
    files = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in kept]
    digest = hashlib.sha256(repr(files).encode())
    for path, (place, _) in zip(kept, files, strict=True):
        if not place.startswith("images/"):
            digest.update(path.read_bytes())
    return Manifest(folder, tuple(_parted(files)), digest.hexdigest())


def _parted(files: list[tuple[str, int]]) -> list[tuple[tuple[str, int], ...]]:
    parts: list[list[tuple[str, int]]] = []
    room = 0
    for place, size in files:
        if size > room or not parts:
            parts.append([])
            room = _PART
        parts[-1].append((place, size))
        room -= size
    return [tuple(part) for part in parts]


def part_of(folder: Path, manifest: Manifest, number: int) -> Part:
    """Read one part of a data set."""
    files = {place: (folder / place).read_bytes() for place, _ in manifest.parts[number]}
    return Part(files, _sha256(files))


def is_here(manifest: Manifest) -> bool:
    """Whether the folder of the driver is on this machine too, as shared storage or as a copy."""
    if not (manifest.path / "data.yaml").is_file():
        return False
    return manifest_of(manifest.path).sha256 == manifest.sha256


def unpack(manifest: Manifest, part: Callable[[int], Part], parent: Path) -> Path:
    """The data set below `parent`, which is this machine's own; asked for where it is not there.

    part: gives one by its number. Raises MachineError when what arrives is not what was sent.
    """
    folder = parent / manifest.sha256[:32]
    if folder.is_dir():
        return folder
    with atomic_folder(folder) as scratch:
        for number in range(len(manifest.parts)):
            received = part(number)
            if not received.whole():
                raise MachineError(f"part {number + 1} of the data set was damaged on its way")
            for place, content in received.files.items():
                path = scratch / place
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        if manifest_of(scratch).sha256 != manifest.sha256:
            raise MachineError(
                "the data set is no longer what it was when the training began",
                hint="Leave its files as they are until the training has ended.",
            )
    return folder


def _sha256(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for content in files.values():
        digest.update(content)
    return digest.hexdigest()
