"""Tar files as WebDataset uses them: plain files, one after the other, and nothing else.

Read here and not by `tarfile`, which takes a damaged header behind the first for the end of the
file, and reads names of any length into memory. Nothing is ever put where a name of a member says.
Source of the layout: POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU tar.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 512
_CHUNK = 1 << 20
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
_KIND, _MAGIC, _PREFIX = 156, slice(257, 262), slice(345, 500)
_FILES = frozenset(b"0\0007")
_PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_LINK = b"xgLK"
# Of a name, or of what pax says about a file; no honest one is longer.
_LONGEST = 64 * 1024
_END = bytes(_BLOCK)


class TarError(Exception):
    """What is wrong with a tar file. offset: in bytes, where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar file. header, start: offsets of its header and its content; size: bytes."""

    name: str
    header: int
    start: int
    size: int


def members(stream: BinaryIO) -> Iterator[Member]:
    """The plain files of a tar file, whatever else lies between them.

    Raises TarError where it is damaged or cut off; what comes before is given.
    """
    length = os.fstat(stream.fileno()).st_size
    offset, long_name = 0, ""
    while True:
        header = _at(stream, offset, _BLOCK)
        if header == _END:
            _refuse_more(stream, offset)
            return
        if len(header) < _BLOCK:
            raise TarError("it is cut off: the mark of its end is missing", offset)
        size = _checked_size(header, offset)
        start = offset + _BLOCK
        if start + size > length:
            missing = start + size - length
            raise TarError(f"it is cut off: the last file lacks {missing} bytes", offset)
        kind = header[_KIND]
        if kind in {_PAX, _LONG_NAME}:
            long_name = _long_name(stream, start, size, kind) or long_name
        elif kind not in {_PAX_FOR_ALL, _LONG_LINK}:
            if kind in _FILES:
                yield Member(long_name or _name(header), offset, start, size)
            long_name = ""
        offset = start + -(-size // _BLOCK) * _BLOCK


def _refuse_more(stream: BinaryIO, offset: int) -> None:
    """Raise TarError when there is more than zeros behind the mark of the end."""
    stream.seek(offset)
    while block := stream.read(_CHUNK):
        if block.strip(b"\0"):
            start = offset + len(block) - len(block.lstrip(b"\0"))
            raise TarError("it is damaged: there is more behind the mark of its end", start)
        offset += len(block)


def content(stream: BinaryIO, member: Member) -> bytes:
    return _at(stream, member.start, member.size)


def header_of(name: str, size: int) -> bytes:
    """The header of a file, the same at any time; raises ValueError for a name that is too long."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    """What fills the last block of a file."""
    return bytes(-size % _BLOCK)


END = _END * 2


def _at(stream: BinaryIO, offset: int, count: int) -> bytes:
    stream.seek(offset)
    return stream.read(count)


def _checked_size(header: bytes, offset: int) -> int:
    """The size in a header, if the header is what its checksum says."""
    stored = _octal(header[_CHECKSUM])
    plain = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    if stored is None or stored != sum(plain):
        raise TarError("it is damaged: what should be the header of a file is none", offset)
    field = header[_SIZE]
    large = field[0] == 0x80  # GNU: a binary number of 11 bytes
    size = int.from_bytes(field[1:], "big") if large else _octal(field)
    if size is None:
        raise TarError("it is damaged: the size of a file is no number", offset)
    return size


def _octal(field: bytes) -> int | None:
    digits = field.strip(b"\0 ")
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:
        return None


def _name(header: bytes) -> str:
    name = header[_NAME].partition(b"\0")[0]
    prefix = header[_PREFIX].partition(b"\0")[0] if header[_MAGIC] == b"ustar" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _long_name(stream: BinaryIO, start: int, size: int, kind: int) -> str:
    """The name that a record before a file gives it; "" when it gives none."""
    if size > _LONGEST:
        raise TarError(f"a name of {size} bytes is longer than any", start - _BLOCK)
    data = _at(stream, start, size)
    if kind == _LONG_NAME:
        return data.partition(b"\0")[0].decode("utf-8", "replace")
    for line in data.split(b"\n"):
        key, _, value = line.partition(b" ")[2].partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "replace")
    return ""
