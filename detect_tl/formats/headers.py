"""The headers of many images, read ahead on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Size
from detect_tl.core.image_header import ImageHeader, read_header
from detect_tl.core.parallel import spread

# Fewer images are read one by one before another process has started.
_WORTH_IT = 4_000
_TOGETHER = 2_000


# What travels from another process: plain numbers go faster than objects.
_Found = tuple[int, int, int, bool, bool, int, int]


class HeadersAhead:
    """Gives the headers of images; where there are very many, all are read when one is wanted."""

    def __init__(self, images: Sequence[Path]) -> None:
        self._images = images if len(images) >= _WORTH_IT else ()
        self._found: dict[str, _Found | DataError] = {}

    def header(self, image: Path) -> ImageHeader:
        """Raise DataError when an image is missing or is none."""
        if self._images:
            images, self._images = self._images, ()
            self._found = dict(zip(map(os.fspath, images), _read_all(images), strict=True))
        known = self._found.pop(os.fspath(image), None)
        if isinstance(known, DataError):
            raise known
        if known is None:
            return read_header(image)
        width, height, orientation, complete, appendix, length, checksum = known
        size = Size(width, height)
        return ImageHeader(size, orientation, complete, appendix, length, checksum)


def _read_all(images: Sequence[Path]) -> Iterator[_Found | DataError]:
    parts = [images[k : k + _TOGETHER] for k in range(0, len(images), _TOGETHER)]
    return chain.from_iterable(spread(_headers, parts))


def _headers(images: Sequence[Path]) -> list[_Found | DataError]:
    return [_header(image) for image in images]


def _header(image: Path) -> _Found | DataError:
    try:
        found = read_header(image)
    except DataError as error:
        return error
    w, h = found.size
    more = found.orientation, found.complete, found.appendix, found.length, found.checksum
    return w, h, *more
