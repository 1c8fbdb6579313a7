"""Files and folders that appear whole or not at all, and hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from detect_tl.core.errors import DataError, MachineError, UsageError
from detect_tl.core.parallel import spread

IMAGE_SUFFIXES = frozenset(".bmp .dng .jpeg .jpg .jp2 .mpo .png .tif .tiff .webp".split())
VIDEO_SUFFIXES = frozenset(".asf .avi .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wmv".split())

# Read at once to be hashed.
_SMALL = 64 * 1024
# Files hashed by one process at a time, and how many bytes of them.
_TOGETHER, _BYTES_TOGETHER = 5_000, 1 << 28


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a scratch sibling; move it over `path` only if the block succeeds.

    Raises MachineError when the disk is full; the scratch file is removed in any case.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with disk_errors(path):
            yield scratch
            scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a scratch sibling folder; rename it to `path` only if the block succeeds.

    Raises UsageError when `path` exists and is not an empty folder, and MachineError when
    the disk is full. The scratch folder is removed in any case; that of a process which was
    killed, by the next one that writes the same folder.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_sibling(path)
    sweep(path)
    try:
        with disk_errors(path):
            scratch.mkdir()
            yield scratch
            if path.is_dir():
                path.rmdir()
            scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def scratch_sibling(path: Path) -> Path:
    """A new name beside `path`, hidden, that says which process uses it."""
    return path.with_name(f"{_scratch_start(path)}{os.getpid()}-{uuid.uuid4().hex[:8]}")


def _scratch_start(path: Path) -> str:
    """How scratch folders begin. Process numbers mean nothing on another machine."""
    return f".{path.name}.{zlib.crc32(platform.node().encode()):08x}-"


def sweep(path: Path) -> None:
    """Remove the scratch folders beside `path` of processes that are no more."""
    import psutil

    start = _scratch_start(path)
    for folder in path.parent.iterdir():
        owner = folder.name.removeprefix(start).partition("-")[0]
        dead = owner.isdecimal() and not psutil.pid_exists(int(owner))
        if dead and folder.name.startswith(start):
            shutil.rmtree(folder, ignore_errors=True)


def refuse_existing(path: Path) -> None:
    """Raise UsageError when `path` is a file or a folder with something in it."""
    if path.is_dir():
        if any(path.iterdir()):
            raise UsageError(
                f"the output folder {path} already exists and is not empty",
                hint="Name a new folder, or remove this one first; nothing in it was touched.",
            )
    elif path.exists():
        raise UsageError(f"{path} exists and is a file", hint="Name a new folder.")


def unused_folder(path: Path) -> Path:
    """`path` itself, or the first of `path-2`, `path-3`, … that is not taken."""
    candidate, number = path, 1
    while candidate.exists() and not (candidate.is_dir() and not any(candidate.iterdir())):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a limit of size or a missing permission into a clear error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MachineError(
                f"the disk is full while writing {path}; nothing half-written was left behind",
                hint="Free some space, or write to another disk.",
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise MachineError(
                f"may not write {path}: {error.strerror}", hint="Choose another output folder."
            ) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all; the same value gives the same bytes."""
    with atomic_path(path) as scratch:
        scratch.write_bytes(encode_json(value))


def encode_json(value: Any) -> bytes:
    """Indented JSON with a newline behind; what is no character becomes "?"."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(value, option=options)
    except TypeError:  # a text with what is no character: a file name of odd bytes
        text = json.dumps(value, indent=2, ensure_ascii=False, default=lambda array: array.tolist())
        return text.encode("utf-8", "replace") + b"\n"


def read_json(path: Path) -> Any:
    """Read a JSON file; raise DataError naming the line when it is broken."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        with suppress(ValueError, RecursionError):
            return _lenient(data)
        _refuse_other_encodings(data, path)
        raise DataError(
            f"broken JSON: {error.msg}",
            path=path,
            line=error.lineno,
            hint="The file was cut off or edited by hand; export it again.",
        ) from error


def _refuse_other_encodings(data: bytes, path: Path) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8: byte {data[error.start]:#04x}",
            path=path,
            line=data.count(b"\n", 0, error.start) + 1,
            hint="It was written in another encoding or damaged; save it as UTF-8.",
        ) from error


def _lenient(data: bytes) -> Any:
    """What Python's own parser takes: NaN as well, and halves of characters, which become "?"."""
    value = json.loads(data)
    if b"\\ud" in data.lower():
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def sha256_file(path: Path) -> str:
    with path.open("rb", buffering=0) as stream:
        content = stream.read(_SMALL)
        if len(content) < _SMALL:
            return hashlib.sha256(content).hexdigest()
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_files(paths: Iterable[Path], root: Path) -> str:
    """One hash over names (relative to `root`) and contents, in the order of the names."""
    digest = hashlib.sha256()
    files = sorted(paths)
    batches = _batches(files)
    for path, found in zip(files, chain.from_iterable(spread(_sha256_each, batches)), strict=True):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + found)
    return digest.hexdigest()


def _batches(files: Sequence[Path]) -> list[list[Path]]:
    """Files that one process hashes together: many small ones, or few that are large."""
    batches: list[list[Path]] = []
    room = 0
    for path in files:
        length = path.stat().st_size
        if not batches or len(batches[-1]) >= _TOGETHER or length > room:
            batches.append([])
            room = _BYTES_TOGETHER
        batches[-1].append(path)
        room -= length
    return batches


def _sha256_each(paths: Sequence[Path]) -> list[bytes]:
    return [bytes.fromhex(sha256_file(path)) for path in paths]


def find_images(folder: Path) -> list[Path]:
    """All image files below `folder`, hidden ones left out, in the order of their paths."""
    return [p for p in walk_files(folder) if p.suffix.lower() in IMAGE_SUFFIXES]


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` in a stable order; hidden files and folders are left out."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(root, name)


def place_file(source: str | Path, target: str | Path, link: str = "copy") -> None:
    """Put `source` at `target`: "copy", "hard" (falls back to a copy across disks) or "soft".

    The folder of `target` must be there.
    """
    if link == "soft":
        Path(target).symlink_to(os.path.realpath(source))
        return
    if link == "hard":
        try:
            os.link(os.path.realpath(source) if os.path.islink(source) else source, target)  # noqa: PTH114
            return
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
    shutil.copyfile(source, target)
