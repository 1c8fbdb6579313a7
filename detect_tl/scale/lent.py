"""Data sets that were sent to this machine, where the next training finds them.

Each is a folder in the user's cache, named by a hash of what it consists of. Those that were not
used for the longest time go when there is no room, but never one that a process still trains on:
that holds a lock on it, which ends with the process.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from detect_tl.core.errors import UsageError
from detect_tl.core.files import scratch_sibling, sweep
from detect_tl.scale.parcel import Manifest, Part, unpack

_LOCKED = "data.yaml"  # which every data set has


class LentDataSets:
    """Data sets below `folder`, of at most `limit` bytes, or of more where more are in use."""

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        """folder: None for the user's cache."""
        self.folder = _user_folder() if folder is None else folder
        self.limit = limit

    @contextmanager
    def borrow(self, manifest: Manifest, part: Callable[[int], Part]) -> Iterator[Path]:
        """A data set, which stays until the block ends; it is asked for where it is not there.

        part: gives one by its number. Raises MachineError when what arrives is not what was sent.
        """
        entry = self.folder / manifest.sha256[:32]
        while (lock := _in_use(entry)) is None:
            if not (entry / _LOCKED).exists():
                shutil.rmtree(entry, ignore_errors=True)  # what is left of a damaged one
            self.make_room(manifest.bytes)
            try:
                unpack(manifest, part, self.folder)
            except (UsageError, OSError):
                if not entry.is_dir():  # another training may have fetched the same
                    raise
        with lock:
            yield entry

    def make_room(self, size: int) -> None:
        """Remove those that were not used for longest, until `size` bytes fit the limit."""
        entries = sorted(self._entries())
        held = sum(each for _, each, _ in entries)
        for _, each, path in entries:
            if held + size <= self.limit:
                return
            if _remove(path):
                held -= each

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """When each data set was used last, its bytes and its folder."""
        for path in list(self.folder.iterdir()) if self.folder.is_dir() else ():
            if path.name.startswith("."):
                sweep(self.folder / path.name[1:].partition(".")[0])  # one that was killed
                continue
            with suppress(FileNotFoundError):  # another has just removed it
                files = (file for file in path.rglob("*") if file.is_file())
                size = sum(file.stat().st_size for file in files)
                yield path.stat().st_mtime, size, path


def _in_use(entry: Path) -> IO[bytes] | None:
    """A lock on a data set that others may share; None when it is not there."""
    try:
        lock = (entry / _LOCKED).open("rb")
    except FileNotFoundError:
        return None
    try:
        _wait_for(lock)
        if os.path.samestat(os.fstat(lock.fileno()), (entry / _LOCKED).stat()):
            os.utime(entry)  # it was used now
            return lock
    except FileNotFoundError:
        pass  # it was removed after it was opened
    lock.close()
    return None


def _remove(entry: Path) -> bool:
    """Remove a data set unless it is in use: whether it is gone."""
    gone = scratch_sibling(entry)
    try:
        with (entry / _LOCKED).open("rb") as lock:
            _take(lock)
            entry.rename(gone)
    except OSError:
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _wait_for(lock: IO[bytes]) -> None:
    """Hold it together with others. On Windows a file that is open is enough."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_SH)


def _take(lock: IO[bytes]) -> None:
    """Hold it alone; raise OSError when it is held."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _user_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("detect-tl") / "datasets"
