"""Pictures for the parity gate: real ones, of several shapes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeVar

from detect_tl.core.errors import UsageError
from detect_tl.core.image_header import read_header
from detect_tl.core.images import Image, read_image

T = TypeVar("T")

GATE_IMAGES = 8
"""How many pictures a gate compares."""

_LOOKED_AT = 64  # of a large split, so many headers are read to find different shapes


class GateImage(NamedTuple):
    """A picture and what to call it in a message."""

    name: str
    pixels: Image


def gate_images(paths: Sequence[Path], count: int = GATE_IMAGES) -> list[GateImage]:
    """Choose `count` pictures that differ in shape, evenly from the tallest to the widest.

    Where there are fewer, crops of them fill up: a tall one, a wide one, a square one of each.
    Raises UsageError when none is given, DataError when one cannot be read.
    """
    if not paths:
        raise UsageError(
            "the parity gate has no pictures to compare the models on",
            hint="Name some, best from the validation split.",
        )
    looked_at = evenly(sorted(paths), _LOOKED_AT)
    by_shape = sorted(looked_at, key=lambda path: (_aspect(path), path))
    whole = [GateImage(path.name, read_image(path)) for path in evenly(by_shape, count)]
    crops = [crop for image in whole for crop in _crops(image)]
    return [*whole, *crops][:count]


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of them, the first and the last included."""
    if len(items) <= count:
        return list(items)
    return [items[round(k * (len(items) - 1) / max(count - 1, 1))] for k in range(count)]


def _aspect(path: Path) -> float:
    size = read_header(path).size
    return size.width / size.height


def packaged_photos() -> list[Path]:
    """The photos that come with Ultralytics, for a model whose data is not at hand.

    The package is looked up, not imported. Empty where it does not bring them.
    """
    found = find_spec("ultralytics")
    if found is None or found.origin is None:
        return []
    return sorted(Path(found.origin).parent.glob("assets/*.jpg"))


def _crops(image: GateImage) -> list[GateImage]:
    """Parts of a picture: its left half, its upper third, and a square from its middle."""
    height, width = image.pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return [
        GateImage(f"{image.name} (left half)", image.pixels[:, : max(width // 2, 1)]),
        GateImage(f"{image.name} (upper third)", image.pixels[: max(height // 3, 1)]),
        GateImage(
            f"{image.name} (middle square)",
            image.pixels[top : top + side, left : left + side],
        ),
    ]
