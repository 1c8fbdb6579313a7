"""What can be known of an image file from its two ends, without decoding it.

JPEG and PNG, nearly all that data sets consist of, are read here with a handful of system calls;
Pillow reads whatever is unusual in them, and every other format.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Size

_EXIF_ORIENTATION = 0x0112
SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations of images that are stored on their side."""

# A pipe that is called a.jpg must not make us wait for somebody to write into it.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_HEAD = 4096
_TAIL = 64
# Cameras and editors append a little after the end of a JPEG, so its mark is looked for.
_LONG_TAIL = 64 * 1024
# Above this many pixels Pillow is asked, which refuses what would fill the memory.
_MOST_PIXELS = 100_000_000

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
# Start of frame, which holds the size: C0 to CF but for the tables C4, C8 and CC (ITU-T T.81, B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_SCAN = 0xDA
_EXIF_SEGMENT = 0xE1
_PNG_TEXTS = frozenset({b"zTXt", b"iTXt", b"tEXt"})
_PNG_ORIENTED = (b"Raw profile type ", b"XML:com.adobe.xmp")
# No honest file has as many segments or chunks before this matters; a made-up one must not hang us.
_MOST_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """size: upright, pixels. orientation: of EXIF, 1 when there is none.

    complete: whether a JPEG or PNG has its end mark; other formats are taken to be whole.
    appendix: whether something follows the end of a JPEG.
    length: of the file, bytes. checksum: of its ends; equal for equal files.
    """

    size: Size
    orientation: int
    complete: bool
    appendix: bool
    length: int
    checksum: int


def read_header(path: Path) -> ImageHeader:
    """Look at both ends of an image file; raise DataError when it is missing or no image."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError as error:
        raise DataError("the image is missing", path=path) from error
    except OSError as error:
        raise DataError(f"not a readable image: {error}", path=path) from error
    try:
        return _read(_File(descriptor), path)
    except OSError as error:
        raise DataError(f"not a readable image: {error}", path=path) from error
    finally:
        os.close(descriptor)


def header_of(data: bytes) -> ImageHeader:
    """Look at both ends of an image file in memory; raise DataError when it is no image."""
    return _read(_Memory(data), BytesIO(data))


class _Ends(Protocol):
    """A file of which its ends are at hand."""

    length: int
    head: bytes
    tail: bytes

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on."""
        ...


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)
        self.head, self.tail = data[:_HEAD], data[-_TAIL:]

    def at(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]


class _File:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no ordinary file")
        self.length = status.st_size
        self.head = self.at(0, _HEAD)
        whole = self.length <= len(self.head)
        self.tail = self.head[-_TAIL:] if whole else self.at(self.length - _TAIL, _TAIL)

    def at(self, offset: int, count: int) -> bytes:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, count)


def _read(file: _Ends, source: Path | BytesIO) -> ImageHeader:
    """source: where Pillow can read the same file."""
    stored = None
    complete, appendix = True, False
    if file.head.startswith(_JPEG_START):
        stored = _jpeg_size(file)
        appendix = not file.tail.endswith(_JPEG_END)
        complete = not appendix or _has_jpeg_end(file)
    elif file.head.startswith(_PNG_START):
        stored = _png_size(file)
        complete = _PNG_END in file.tail
    if stored is None or not 0 < stored.width * stored.height <= _MOST_PIXELS:
        size, orientation = _ask_pillow(source)
    else:
        size, orientation = stored, 1
    checksum = zlib.crc32(file.tail, zlib.crc32(file.head))
    return ImageHeader(size, orientation, complete, appendix, file.length, checksum)


def _jpeg_size(file: _Ends) -> Size | None:
    """The size in the frame header; None when there is EXIF to be read, or anything odd."""
    for offset, marker, length in _segments(file):
        if marker in _FRAMES:
            start = file.head[offset : offset + 9] or file.at(offset, 9)
            height, width = int.from_bytes(start[5:7], "big"), int.from_bytes(start[7:9], "big")
            return Size(width, height) if len(start) == 9 and length >= 8 else None
        if marker in (_EXIF_SEGMENT, _SCAN):
            return None
    return None


def _segments(file: _Ends) -> Iterator[tuple[int, int, int]]:
    """Offset, marker and length of the segments of a JPEG."""
    offset = 2
    for _ in range(_MOST_PARTS):
        start = file.head[offset : offset + 4]
        if len(start) < 4:
            start = file.at(offset, 4)
        if len(start) < 4 or start[0] != 0xFF:
            return
        if start[1] == 0xFF:  # a fill byte
            offset += 1
        elif start[1] in _WITHOUT_LENGTH:
            offset += 2
        else:
            length = int.from_bytes(start[2:4], "big")
            yield offset, start[1], length
            offset += 2 + length


def _png_size(file: _Ends) -> Size | None:
    """The size in the first chunk; None when a chunk may hold EXIF, or anything is odd."""
    if file.head[12:16] != b"IHDR":
        return None
    if any(_may_turn(file, offset, kind) for offset, kind in _chunks(file)):
        return None
    width, height = file.head[16:20], file.head[20:24]
    return Size(int.from_bytes(width, "big"), int.from_bytes(height, "big"))


def _chunks(file: _Ends) -> Iterator[tuple[int, bytes]]:
    """Offset of the content and kind of the chunks of a PNG."""
    offset = 8
    for _ in range(_MOST_PARTS):
        start = file.head[offset : offset + 8]
        if len(start) < 8:
            start = file.at(offset, 8)
        if len(start) < 8:
            return
        yield offset + 8, start[4:]
        offset += 12 + int.from_bytes(start[:4], "big")


def _may_turn(file: _Ends, offset: int, kind: bytes) -> bool:
    """Whether a chunk may hold an orientation: EXIF, or EXIF or XMP in a text."""
    if kind in _PNG_TEXTS:
        return file.at(offset, 17).startswith(_PNG_ORIENTED)
    return kind == b"eXIf"


def _has_jpeg_end(file: _Ends) -> bool:
    if file.tail.rstrip(b"\0").endswith(_JPEG_END):
        return True
    return _JPEG_END in file.at(max(0, file.length - _LONG_TAIL), _LONG_TAIL)


def _ask_pillow(source: Path | BytesIO) -> tuple[Size, int]:
    import warnings

    from PIL import Image, UnidentifiedImageError

    path = source if isinstance(source, Path) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata, and aerial images of 100 megapixels
            with Image.open(source) as image:
                width, height = image.size
                orientation = int(image.getexif().get(_EXIF_ORIENTATION, 1) or 1)
                if image.format == "TIFF" and orientation in SIDEWAYS:
                    width, height = height, width  # Pillow turns the size of this format itself
    except UnidentifiedImageError as error:
        raise DataError("not an image, whatever its name says", path=path) from error
    except (Image.DecompressionBombError, OSError, ValueError, TypeError, SyntaxError) as error:
        raise DataError(f"not a readable image: {error}", path=path) from error
    upright = Size(height, width) if orientation in SIDEWAYS else Size(width, height)
    return upright, orientation
