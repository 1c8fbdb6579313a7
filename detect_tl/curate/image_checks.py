"""Checks of image files: there, whole, and large enough to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from detect_tl.core.dataset import Sample
from detect_tl.core.findings import Finding

# Ultralytics leaves out images with a side below this, pixels.
LEAST_SIDE = 10

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND"
# Cameras and editors append a little after the end of a JPEG, so its mark is looked for.
_TAIL = 64 * 1024


def whole(sample: Sample) -> Iterator[Finding]:
    """Look at both ends of the file: missing, cut off, or too small?"""
    try:
        cut = is_truncated(sample.image)
    except OSError as error:
        yield _broken("image.missing", f"cannot be opened: {error.strerror}", sample)
        return
    if cut:
        yield _broken("image.truncated", "the image is cut off", sample)
    yield from _too_small(sample)


def decoded(sample: Sample) -> Iterator[Finding]:
    """Decode the whole image, which finds damage in the middle as well."""
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no damage
            with Image.open(sample.image) as image:
                image.load()
    except FileNotFoundError:
        yield _broken("image.missing", "the image is missing", sample)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        yield _broken("image.unreadable", f"not a readable image: {error}", sample)
    except (OSError, SyntaxError, ValueError) as error:
        yield _broken("image.truncated", f"the image is damaged: {error}", sample)
    else:
        yield from _too_small(sample)


def is_truncated(path: Path) -> bool:
    """Whether a JPEG or PNG lacks its end mark; other formats are taken to be whole."""
    with path.open("rb") as stream:
        head = stream.read(4)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 64))
        tail = stream.read()
        if head.startswith(_PNG_START):
            return _PNG_END not in tail
        if not head.startswith(_JPEG_START) or tail.rstrip(b"\0").endswith(_JPEG_END):
            return False
        stream.seek(max(0, size - _TAIL))
        return _JPEG_END not in stream.read()


def has_appendix(path: Path) -> bool:
    """Whether something follows the end of a JPEG.

    Ultralytics takes such a file for a damaged one and writes it anew, in place.
    """
    with path.open("rb") as stream:
        if not stream.read(2).startswith(_JPEG_START):
            return False
        stream.seek(-2, 2)
        return stream.read() != _JPEG_END


def _too_small(sample: Sample) -> Iterator[Finding]:
    w, h = sample.size
    if min(w, h) < LEAST_SIDE:
        text = f"{w}x{h} pixels; training leaves out images with a side below {LEAST_SIDE}"
        yield Finding("image.too-small", "warning", text, sample.image)


def _broken(code: str, text: str, sample: Sample) -> Finding:
    return Finding(code, "error", f"{text}; {len(sample.instances)} objects on it", sample.image)
