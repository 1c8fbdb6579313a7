"""The machine and the installation as they are, read once."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from detect_tl.api.machine import probes
from detect_tl.core.progress import Progress, track

PACKAGES = (
    "detect-tl", "ultralytics", "torch", "torchvision", "numpy", "opencv-python",
    "opencv-python-headless", "onnx", "onnxruntime", "av", "pycocotools",
)  # fmt: skip

_CV2_OWNERS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder that is written to, and the bytes free on its disk."""

    purpose: str
    path: str
    free: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Weights:
    """Checkpoints on this machine.

    variable: the value of DETECT_TL_WEIGHTS. files: those that have an official name.
    """

    variable: str | None
    cache: str
    files: tuple[str, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the checks judge.

    packages: version by name, None when it is not installed. cv2_owners: installed packages that
    bring a cv2, and whether the files on disk are theirs. probes: answers of `probes.ask`.
    shared_memory: free bytes in /dev/shm, None where there is none.
    """

    python: str
    platform: str
    processor: str
    cores: int
    memory_total: int
    memory_available: int
    shared_memory: int | None
    packages: dict[str, str | None]
    cv2_owners: dict[str, bool]
    probes: dict[str, dict[str, Any]]
    display: bool
    disks: tuple[Disk, ...]
    weights: Weights
    plugin_errors: tuple[str, ...]


def take_snapshot(progress: Progress) -> Snapshot:
    """Read everything; takes a few seconds, for torch is imported in another process."""
    import psutil

    answers = {n: probes.ask(n) for n in track(progress, probes.PROBES, "Looking at libraries")}
    memory = psutil.virtual_memory()
    shm = Path("/dev/shm")  # noqa: S108  # looked at, not written
    return Snapshot(
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_total=memory.total,
        memory_available=memory.available,
        shared_memory=shutil.disk_usage(shm).free if shm.is_dir() else None,
        packages={name: _version(name) for name in PACKAGES},
        cv2_owners=cv2_owners(),
        probes=answers,
        display=_has_display(),
        disks=_disks(),
        weights=_weights(),
        plugin_errors=tuple(_plugin_errors()),
    )


def cv2_owners() -> dict[str, bool]:
    """Installed packages that bring cv2, and whether the compiled file on disk is theirs.

    Two of them write the same files, so the one that came last wins; what pip recorded of the
    file (its SHA-256 in RECORD) tells which that was.
    """
    found = {}
    for name in _CV2_OWNERS:
        try:
            owner = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = _owns_cv2(owner)
    return found


def _owns_cv2(owner: Distribution) -> bool:
    for file in owner.files or ():
        if file.parent.name == "cv2" and file.suffix in (".so", ".pyd") and file.hash is not None:
            path = Path(str(file.locate()))
            return path.is_file() and _record_hash(path, file.hash.mode) == file.hash.value
    return False


def _record_hash(path: Path, mode: str) -> str:
    """The hash of a file as RECORD writes it: URL-safe base64 without padding (PEP 376)."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, mode).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _version(package: str) -> str | None:
    try:
        return distribution(package).version
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _has_display() -> bool:
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _disks() -> tuple[Disk, ...]:
    from detect_tl.transfer.fetch import cache_folder

    places = {
        "runs and data sets": Path.cwd(),
        "fetched weights": cache_folder(),
        "temporary files": Path(tempfile.gettempdir()),
    }
    return tuple(_disk(purpose, path) for purpose, path in places.items())


def _disk(purpose: str, path: Path) -> Disk:
    there = next(p for p in (path, *path.parents) if p.exists())
    return Disk(purpose, str(path), shutil.disk_usage(there).free, os.access(there, os.W_OK))


def _weights() -> Weights:
    from detect_tl.core.errors import WeightsError
    from detect_tl.transfer.fetch import FOLDER_VARIABLE, cache_folder
    from detect_tl.transfer.library import list_weights

    problem, found = "", []
    try:
        found = [str(row.path) for row in list_weights() if row.path is not None]
    except WeightsError as error:
        problem = str(error)
    return Weights(
        os.environ.get(FOLDER_VARIABLE) or None, str(cache_folder()), tuple(found), problem
    )


def _plugin_errors() -> list[str]:
    from detect_tl import plugins
    from detect_tl.core.errors import DetectTLError

    errors = []
    groups: tuple[plugins.Group, ...] = ("detect_tl.formats", "detect_tl.backends")
    for group in groups:
        for name in plugins.names(group):
            try:
                plugins.load(group, name)
            except DetectTLError as error:
                errors.append(str(error))
    return errors
