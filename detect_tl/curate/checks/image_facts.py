"""What one look at an image file tells: whether it is whole, how it is stored, what it shows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from detect_tl.core.dataset import Sample
from detect_tl.core.errors import DataError
from detect_tl.core.geometry import Size
from detect_tl.core.image_header import ImageHeader, read_header
from detect_tl.core.parallel import threaded
from detect_tl.core.progress import Progress, track
from detect_tl.curate.fingerprints import (
    COARSE_BITS,
    FINE_BITS,
    Fingerprint,
    decode_small,
    fingerprint,
)

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


class FactColumns(Sequence[ImageFacts]):
    """What checks of whole sets need of the facts of S images, in few bytes: damage, mode, print.

    modes, damages: shared texts. prints: (P, 40) uint8, the coarse and the fine bits of those that
    have any; which: (S,) the row of an image, -1 for none.
    """

    def __init__(self, facts: Sequence[ImageFacts]) -> None:
        self.modes = [sys.intern(each.mode) for each in facts]
        self.damages: list[Damage] = [each.damage for each in facts]
        there = np.asarray([each.print is not None for each in facts], dtype=np.bool_)
        self.which = np.where(there, np.cumsum(there) - 1, -1).astype(np.int32)
        bits = [np.concatenate(each.print) for each in facts if each.print is not None]
        width = COARSE_BITS + FINE_BITS
        self.prints = np.packbits(np.asarray(bits, dtype=np.bool_).reshape(-1, width), axis=1)

    @classmethod
    def joined(cls, parts: Sequence[FactColumns]) -> FactColumns:
        """Of the images of several parts, one after the other."""
        whole = cls(())
        rows = 0
        numbers = [whole.which]
        for part in parts:
            whole.modes += map(sys.intern, part.modes)
            whole.damages += part.damages
            numbers.append(np.where(part.which >= 0, part.which + rows, -1).astype(np.int32))
            rows += len(part.prints)
        whole.which = np.concatenate(numbers)
        whole.prints = np.concatenate([whole.prints, *(part.prints for part in parts)])
        return whole

    def __len__(self) -> int:
        return len(self.modes)

    @overload
    def __getitem__(self, place: int) -> ImageFacts: ...
    @overload
    def __getitem__(self, place: slice) -> list[ImageFacts]: ...
    def __getitem__(self, place: int | slice) -> ImageFacts | list[ImageFacts]:
        if isinstance(place, slice):
            return [self[k] for k in range(len(self))[place]]
        row = int(self.which[place])
        found = None
        if row >= 0:
            bits = np.unpackbits(self.prints[row]).astype(np.bool_)
            found = Fingerprint(bits[:COARSE_BITS], bits[COARSE_BITS:])
        return ImageFacts(self.damages[place], mode=self.modes[place], print=found)


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
