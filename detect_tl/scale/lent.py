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
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from detect_tl.core.cache_folder import make_room
from detect_tl.core.errors import UsageError
from detect_tl.core.files import scratch_sibling
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
            make_room(self.folder, manifest.bytes, self.limit, remove=_remove)
            try:
                unpack(manifest, part, self.folder)
            except (UsageError, OSError):
                if not entry.is_dir():  # another training may have fetched the same
                    raise
        with lock:
            yield entry


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
