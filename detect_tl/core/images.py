"""Reading an image as a person sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import DataError, MachineError

Image = NDArray[np.uint8]
"""(height, width, 3) BGR, upright."""


def read_image(path: Path) -> Image:
    """Read an image file as BGR, with its EXIF orientation applied.

    Grey and 16-bit images become 8-bit BGR; transparency is dropped. Raises DataError when the
    file is missing or is no image.
    """
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread fails on some names under Windows
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    image = _decoded(data)
    if image is None:
        raise DataError("is not an image that can be read", path=path)
    return image


def decode_image(data: bytes) -> Image:
    """Read an image file in memory, as `read_image` does; raise DataError when it is no image."""
    image = _decoded(np.frombuffer(data, np.uint8))
    if image is None:
        raise DataError("it is not an image that can be read")
    return image


def _decoded(data: NDArray[np.uint8]) -> Image | None:
    import cv2

    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if image is None else np.asarray(image, np.uint8)


def encode_image(image: Image, suffix: str) -> bytes:
    """An image as a file of the kind that `suffix` names (".jpg").

    Raises MachineError where OpenCV was built without that kind.
    """
    import cv2

    done, data = cv2.imencode(suffix, image)
    if not done:
        raise MachineError(f"OpenCV cannot write {suffix} pictures", hint="Use .jpg or .png.")
    return data.tobytes()


def write_image(path: Path, image: Image) -> None:
    """Write an image as its name says; raise MachineError as `encode_image` does."""
    path.write_bytes(encode_image(image, path.suffix.lower()))
