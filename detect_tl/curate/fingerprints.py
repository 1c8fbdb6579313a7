"""What a picture looks like, in a few bits that survive scaling, compression and light."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Bits = NDArray[np.bool_]

COARSE_BITS, FINE_BITS = 64, 256
# Side in pixels that a picture is reduced to before it is hashed; JPEG files are decoded at no
# more than about twice this.
_SIDE = 64
_DECODED = (2 * _SIDE, 2 * _SIDE)
# Grey levels. What varies less is a plain area, and the bits of its hash are noise.
_LEAST_CONTRAST = 2.0


class Fingerprint(NamedTuple):
    """Signs of the 64 and the 256 lowest frequencies of a picture (imagehash's pHash)."""

    coarse: Bits
    fine: Bits


def fingerprint(image: Image) -> Fingerprint | None:
    """The fingerprint of a decoded picture as a person sees it; None for a plain area."""
    import imagehash
    from PIL import Image as Pillow, ImageOps

    upright = ImageOps.exif_transpose(image)
    small = _grey(upright).resize((_SIDE, _SIDE), Pillow.Resampling.BOX)
    if float(np.asarray(small, dtype=np.float64).std()) < _LEAST_CONTRAST:
        return None
    coarse = imagehash.phash(small, hash_size=8).hash
    fine = imagehash.phash(small, hash_size=16).hash
    return Fingerprint(coarse.reshape(-1), fine.reshape(-1))


def fingerprint_of(path: Path) -> Fingerprint | None:
    """The fingerprint of an image file; None for one that cannot be decoded, or is plain."""
    import warnings

    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata says nothing about the picture
            with Pillow.open(path) as image:
                decode_small(image)
                return fingerprint(image)
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError):
        return None


def decode_small(image: Image) -> None:
    """Decode all of an opened image, a JPEG at a fraction of its size and in grey.

    Its whole stream is read all the same, so damage is met. Raises what Pillow raises for it.
    """
    image.draft("L", _DECODED)
    image.load()


def _grey(image: Image) -> Image:
    """8-bit grey; levels of deeper images are spread over all of it."""
    from PIL import Image as Pillow

    if not image.mode.startswith(("I", "F")):
        return image.convert("L")
    levels = np.asarray(image, dtype=np.float64)
    levels = np.nan_to_num(levels, posinf=0, neginf=0)
    low, high = levels.min(), levels.max()
    spread = (levels - low) * (255 / max(high - low, 1e-12))
    return Pillow.fromarray(spread.astype(np.uint8))
