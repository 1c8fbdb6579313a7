"""The headers of many images, read ahead on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detect_tl.core.errors import DataError
from detect_tl.core.image_header import ImageHeader, read_header
from detect_tl.core.parallel import spread

# Fewer images are read one by one before another process has started.
_WORTH_IT = 8_000
_TOGETHER = 2_000


class HeadersAhead:
    """Gives the headers of images; where there are very many, all are read when one is wanted."""

    def __init__(self, images: Sequence[Path]) -> None:
        self._images = images if len(images) >= _WORTH_IT else ()
        self._found: dict[Path, ImageHeader | DataError] = {}

    def header(self, image: Path) -> ImageHeader:
        """Raise DataError when an image is missing or is none."""
        if self._images:
            images, self._images = self._images, ()
            parts = [images[k : k + _TOGETHER] for k in range(0, len(images), _TOGETHER)]
            for part, found in zip(parts, spread(_headers, parts), strict=True):
                self._found.update(zip(part, found, strict=True))
        known = self._found.pop(image, None)
        if isinstance(known, DataError):
            raise known
        return known or read_header(image)


def _headers(images: Sequence[Path]) -> list[ImageHeader | DataError]:
    return [_header(image) for image in images]


def _header(image: Path) -> ImageHeader | DataError:
    try:
        return read_header(image)
    except DataError as error:
        return error
