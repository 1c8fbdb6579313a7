"""Mending image files: a wrong extension, a JPEG that lacks nothing but its end mark."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect_tl.core.files import IMAGE_SUFFIXES
from detect_tl.core.findings import Report
from detect_tl.core.image_header import read_header
from detect_tl.curate.placing import ImageEdit
from detect_tl.curate.rules import SUFFIXES

_JPEG_END = b"\xff\xd9"
# What a decoder would take for picture, were it still in need of some.
_PADDINGS = (b"\x00" * 64, b"\x55" * 64)


def plan_edits(images: Iterable[Path], report: Report) -> Iterator[tuple[Path, ImageEdit]]:
    """The images that are to be written otherwise than they are, each told in the report."""
    for image in images:
        kind = _kind(image)
        suffix = _right_suffix(image, kind)
        if suffix:
            report.changed["extensions-corrected"] += 1
            text = f"it is a {kind} whatever its name says; called {image.stem}{suffix}"
            report.add("image.extension-lies", "warning", text, image, image=image)
        tail = _missing_end(image) if kind == "JPEG" else b""
        if tail:
            report.changed["end-marks-added"] += 1
            text = "the picture is all there and only the end mark of the file was missing; added"
            report.add("image.truncated", "warning", text, image, image=image)
        if suffix or tail:
            yield image, ImageEdit(suffix, tail)


def _kind(image: Path) -> str:
    """What Pillow takes the file for; "" when it cannot tell."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as opened:
            return opened.format or ""
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return ""  # checks name it; nothing here has one right answer


def _right_suffix(image: Path, kind: str) -> str:
    """The extension it should have; "" when it has it, or when nobody knows."""
    known = SUFFIXES.get(kind, ())
    right = not known or image.suffix.lower() in known
    # Under its right name a GIF would be a video, and no image any more.
    return "" if right or known[0] not in IMAGE_SUFFIXES else known[0]


def _missing_end(image: Path) -> bytes:
    """The bytes that make a JPEG whole; b"" when it is whole, or lacks some of the picture."""
    if read_header(image).complete:
        return b""
    data = image.read_bytes()
    body = data.rstrip(b"\xff")
    # Whatever follows cannot change a picture that is complete.
    first, second = (_pixels(body + padding + _JPEG_END) for padding in _PADDINGS)
    if first is None or first != second:
        return b""
    return _JPEG_END if len(body) == len(data) else _JPEG_END[1:]


def _pixels(data: bytes) -> bytes | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            return opened.tobytes()
    except (OSError, SyntaxError, ValueError):
        return None
