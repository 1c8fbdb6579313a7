"""From the bytes that somebody sent to a picture, or to the status that says why not."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from detect_tl.core.errors import DataError
from detect_tl.core.image_header import header_of
from detect_tl.core.images import Image, decode_image

KINDS = "JPEG, PNG, WebP, BMP or TIFF"

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")


def read_picture(data: bytes, max_pixels: int) -> Image:
    """Decode a picture as a person sees it.

    Its header is read before anything is decoded. Raises HTTPException: 415 for what is no
    picture, 413 for one with too many pixels, 422 for one that is damaged or cut off.
    """
    if not data.startswith(_STARTS) and not (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        raise HTTPException(415, f"This is no picture of a known kind; send {KINDS}.")
    try:
        header = header_of(data)
        pixels = header.size.width * header.size.height
        if pixels > max_pixels:
            raise HTTPException(
                413, f"The picture has {pixels} pixels; at most {max_pixels} are taken."
            )
        if not header.complete:
            raise HTTPException(422, "The picture is cut off; send it again.")
        return decode_image(data)
    except DataError as error:
        reason = error.message.rstrip(".")
        raise HTTPException(422, f"The picture cannot be used: {reason}.") from error
