"""What one look at an image file tells: whether it is whole, how it is stored, what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detect_tl.core.dataset import Sample
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Size
from detect_tl.core.image_header import ImageHeader, read_header
from detect_tl.core.parallel import threaded
from detect_tl.core.progress import Progress, track
from detect_tl.curate.fingerprints import Fingerprint, decode_small, fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

Damage = Literal["", "missing", "unreadable", "truncated"]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """damage: "" for a file that is whole; reason: in words.

    size: upright, pixels, None when it cannot be known. orientation: of EXIF, 1 when there is none.
    format, mode: as Pillow calls them ("JPEG", "RGB"). print: None when it was not asked for, or
    there is nothing to see.
    """

    damage: Damage = ""
    reason: str = ""
    size: Size | None = None
    orientation: int = 1
    format: str = ""
    mode: str = ""
    print: Fingerprint | None = None


def facts_of(samples: Sequence[Sample], progress: Progress, *, decode: bool) -> list[ImageFacts]:
    """Look at the images of all samples, on all cores.

    decode: whether to decode them in full, or only look at both ends of each file.
    """
    words = "Decoding images" if decode else "Looking at images"
    files = [(sample.image, sample.header) for sample in samples]
    found = threaded(partial(_look_at, decode=decode), files)
    return list(track(progress, found, words, len(samples)))


def _look_at(file: tuple[Path, ImageHeader | None], *, decode: bool) -> ImageFacts:
    path, header = file
    return look_at(path, decode=decode, header=header)


def look_at(path: Path, *, decode: bool, header: ImageHeader | None = None) -> ImageFacts:
    """Look at one image; never raises for what is wrong with the file.

    header: what is known of its two ends, if they have been looked at already.
    """
    import warnings

    from PIL import Image as Pillow

    if not path.exists():
        return ImageFacts("missing", "the image is missing")
    try:
        header = header or read_header(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no damage
            image = Pillow.open(path)
    except DataError as error:
        return ImageFacts("unreadable", error.message)
    except (Pillow.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        return ImageFacts("unreadable", f"not a readable image: {error}")
    facts = ImageFacts(
        size=header.size,
        orientation=header.orientation,
        format=image.format or "",
        mode=image.mode,
    )
    with image:
        if decode:
            return _decoded(image, facts)
    if header.complete:
        return facts
    return replace(facts, damage="truncated", reason="the image is cut off")


def _decoded(image: Image, facts: ImageFacts) -> ImageFacts:
    try:
        decode_small(image)
        return replace(facts, print=fingerprint(image))
    except (OSError, SyntaxError, ValueError) as error:
        return replace(facts, damage="truncated", reason=f"the image is damaged: {error}")
