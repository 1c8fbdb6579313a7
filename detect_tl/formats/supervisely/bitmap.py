"""The bitmap of a Supervisely object: a PNG of the object alone, packed once more, in base64."""

from __future__ import annotations

import base64
import io
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.geometry import Box, RleMask, Size
from detect_tl.formats.records import bitmap_box, number, placed_bitmap

_MOST_BYTES = 64 << 20
_WITH_ALPHA = frozenset({"LA", "PA", "RGBA"})


def read_bitmap(record: Mapping[str, Any], size: Size | None) -> tuple[Box, RleMask]:
    """The box and the mask of {"data": …, "origin": [x, y]} in an image of `size`.

    Raises ValueError, KeyError or TypeError, saying what is wrong with it.
    """
    if size is None:
        raise ValueError("a bitmap needs the size of its image in the file")
    left, top = (int(number(v)) for v in record["origin"])
    patch = _decode(_inflate(str(record["data"])), size)
    return bitmap_box(patch, left, top), placed_bitmap(patch, left, top, size)


def _inflate(encoded: str) -> bytes:
    """Undo base64 and zlib; a few bytes may claim to be gigabytes, so that there is a limit."""
    data = base64.b64decode(encoded, validate=True)
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, _MOST_BYTES)
    except zlib.error:
        return data  # some tools leave the second compression out
    if stream.unconsumed_tail:
        raise ValueError(f"its bitmap unpacks to more than {_MOST_BYTES >> 20} MiB")
    return found


def _decode(png: bytes, size: Size) -> NDArray[np.uint8]:
    """Draw a PNG as an (height, width) array; what is transparent or black is background."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that is looked at below
            opened = Image.open(io.BytesIO(png), formats=["PNG"])
        with opened as image:
            if image.width > size.width or image.height > size.height:
                raise ValueError(f"its bitmap, {image.width}x{image.height}, leaves the image")
            if image.mode in _WITH_ALPHA or "transparency" in image.info:
                return np.asarray(image.convert("RGBA"))[:, :, 3]
            return np.asarray(image if image.mode == "P" else image.convert("L")).astype(np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"its bitmap is no PNG: {error}") from None
