"""Small objects in large images: detection on overlapping tiles and on the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from detect_tl.core.detections import Detections
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import Size
from detect_tl.core.images import Image
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.config import LEAST_TILE, MOST_OVERLAP
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.merging import Tile, merge_views


def plan_tiles(size: Size, side: int, overlap: float) -> list[Tile]:
    """Square tiles that cover an image evenly, row by row, none when it fits into one.

    Neighbours share `overlap` of their side, or more. Tiles are smaller where the image is.
    """
    if size.width <= side and size.height <= side:
        return []
    columns, rows = (_starts(length, side, overlap) for length in size)
    return [
        Tile(x, y, min(x + side, size.width), min(y + side, size.height))
        for y in rows
        for x in columns
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    steps = ceil((length - side) / (side * (1 - overlap)))
    return [round(k * (length - side) / steps) for k in range(steps + 1)]


class TiledDetector:
    """A detector that looks at every tile of an image, and at the whole.

    side: of a tile, image pixels. overlap: share of a side that neighbours have in common; objects
    up to that size are whole in one tile.

    Raises UsageError for a side or an overlap out of range.
    """

    def __init__(self, detector: Detector, side: int, overlap: float = 0.2) -> None:
        if side < LEAST_TILE:
            raise UsageError(f"tiles of {side} pixels", hint=f"Take {LEAST_TILE} or more.")
        if not 0 <= overlap <= MOST_OVERLAP:
            raise UsageError(
                f"a tile overlap of {overlap:g}", hint=f"It must lie between 0 and {MOST_OVERLAP}."
            )
        self._detector, self._side, self._overlap = detector, side, overlap

    @property
    def spec(self) -> ModelSpec:
        return self._detector.spec

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """Detect on (height, width, 3) uint8 BGR images of any size; one result for each."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> Detections:
        size = Size(image.shape[1], image.shape[0])
        tiles = [Tile(0, 0, *size), *plan_tiles(size, self._side, self._overlap)]
        # One by one: a batch of all tiles of a large image would not fit into memory.
        views = [(tile, self._detector([tile.of(image)])[0]) for tile in tiles]
        return merge_views(views, size, self._detector.max_det)
