"""A folder of results that a killed run leaves usable: what is to be done, and what is done.

    manifest.json        what is run, on what, cut how; written first
    done.jsonl           a line for every shard, written when its files are there
    parquet/part-000012.parquet, jsonl/…, failures/part-000012.jsonl

A shard is done when it has its line and its files; anything else is done again, to the same names.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from detect_tl.core.errors import UsageError
from detect_tl.core.files import atomic_path, disk_errors, read_json, refuse_existing, write_json
from detect_tl.scale.detecting import Answer
from detect_tl.scale.records import FAILURES, KINDS

MANIFEST = "manifest.json"
DONE = "done.jsonl"
NOTE = "begun_with"
"""What of a manifest is told, but may differ: the version of this package."""

_LOCK = ".lock"

_WORDS = {
    "model": "another model",
    "images": "other images (some were added, taken away or renamed)",
    "source": "another source",
    "save": "another --save",
}


class Ledger:
    """The folder of one run, opened for this process alone by `opened_ledger`.

    done: numbers of shards. images, failed, objects: of those together.
    """

    def __init__(self, folder: Path, kinds: tuple[str, ...], lines: IO[bytes]) -> None:
        self.folder = folder
        self._kinds, self._lines = kinds, lines
        self.done: set[int] = set()
        self.images, self.failed, self.bytes = 0, 0, 0
        self.seconds = 0.0
        self.objects: Counter[str] = Counter()

    def add(self, answer: Answer) -> bool:
        """Keep what was found in a shard; False when it was there already."""
        if answer.number in self.done:
            return False
        for kind, content in answer.files.items():
            with atomic_path(self._file(kind, answer.number)) as scratch:
                scratch.write_bytes(content)
        line = {
            "shard": answer.number,
            "images": answer.images,
            "failed": answer.failed,
            "seconds": round(answer.seconds, 4),
            "bytes": sum(map(len, answer.files.values())),
            "objects": dict(answer.objects),
        }
        with disk_errors(self.folder / DONE):
            self._lines.write(orjson.dumps(line) + b"\n")
            self._lines.flush()
        self._count(line)
        return True

    def files(self) -> tuple[Path, ...]:
        """Folders of what was written."""
        kinds = (*self._kinds, *([FAILURES] if self.failed else []))
        return tuple(self.folder / kind for kind in kinds)

    def read(self) -> None:
        """Take over what an earlier run has done; the rest of a line that was cut off goes."""
        self._lines.seek(0)
        whole = 0
        for line in self._lines:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            known = orjson.loads(line)
            if known["shard"] not in self.done and self._has_files(known):
                self._count(known)
        self._lines.truncate(whole)
        self._lines.seek(whole)

    def sweep(self) -> None:
        """Remove what a killed run had begun to write."""
        for kind in (*KINDS, FAILURES):
            for scratch in (self.folder / kind).glob(".part-*"):
                scratch.unlink(missing_ok=True)

    def _has_files(self, line: Mapping[str, Any]) -> bool:
        kinds = (*self._kinds, *([FAILURES] if line["failed"] else []))
        return all(self._file(kind, line["shard"]).is_file() for kind in kinds)

    def _file(self, kind: str, number: int) -> Path:
        suffix = "jsonl" if kind == FAILURES else kind
        return self.folder / kind / f"part-{number:06d}.{suffix}"

    def _count(self, line: Mapping[str, Any]) -> None:
        self.done.add(line["shard"])
        self.images += line["images"]
        self.failed += line["failed"]
        self.bytes += line["bytes"]
        self.seconds += line["seconds"]
        self.objects.update(line["objects"])


@contextmanager
def opened_ledger(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Ledger]:
    """The folder of a run: a new one, or that of the same run, which goes on.

    manifest: all that results depend on, and `save`. Raises UsageError when the folder has other
    things in it, belongs to another run, or another process writes it.
    """
    _refuse_other(folder, manifest)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if not (folder / MANIFEST).is_file():
            write_json(folder / MANIFEST, manifest)
        path = folder / DONE
        path.touch()
        with path.open("r+b") as lines:
            ledger = Ledger(folder, tuple(manifest["save"]), lines)
            ledger.sweep()
            ledger.read()
            yield ledger


def known_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of the run that a folder belongs to; None where there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    found: dict[str, Any] = read_json(path)
    return found


def _refuse_other(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise UsageError when a folder is not empty and not that of the run with this manifest."""
    known = known_manifest(folder)
    if known is None:
        refuse_foreign(folder)
        return
    apart = [name for name in manifest if name != NOTE and known.get(name) != manifest[name]]
    if "settings" in apart:
        ours, theirs = manifest["settings"], known.get("settings", {})
        names = [name for name in ours if theirs.get(name) != ours[name]]
        text = "other settings: " + ", ".join(
            f"{name} was {theirs.get(name)} and is {ours[name]}" for name in names
        )
    elif apart:
        text = _WORDS.get(apart[0], f"another {apart[0]}")
    else:
        return
    raise UsageError(
        f"the results in {folder} are of {text}",
        hint="Repeat the command as it was to go on with them, or name another --out.",
    )


def refuse_foreign(folder: Path) -> None:
    """As `refuse_existing`, but for a folder of a run, also one that was killed when it began."""
    if (folder / MANIFEST).is_file():
        return
    begun = folder.is_dir() and all(
        path.name == _LOCK or path.name.startswith(".manifest") for path in folder.iterdir()
    )
    if not begun:
        refuse_existing(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let no other process write this folder; the lock ends with the process, however it ends."""
    with (folder / _LOCK).open("a+b") as stream:
        try:
            _lock(stream)
        except OSError as error:
            raise UsageError(
                f"another process writes {folder} at this moment",
                hint="Wait for it to end, or name another --out.",
            ) from error
        yield


def _lock(stream: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
