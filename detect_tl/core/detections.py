"""What a detector says about one image, as parallel arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_TRACK = -1
"""The track id of an object without one."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """One image's detections; row i of each array is one object, best score first.

    xyxy: (n, 4) float32, pixels of the upright image.
    score: (n,) float32 in [0, 1].
    class_id: (n,) int64, index into the model's names.
    mask: (n, height, width) bool of the upright image, or None for a box detector.
    track_id: (n,) int64, the number of the object in a video, -1 for one that has none (yet); no
    number is there twice. None without tracking.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    class_id: NDArray[np.int64]
    mask: NDArray[np.bool_] | None = None
    track_id: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.score)
        got = self.xyxy.shape, self.score.shape, self.class_id.shape
        if got != ((n, 4), (n,), (n,)):
            raise ValueError(f"need shapes (n, 4), (n,), (n,); got {got}")
        if self.mask is not None and (self.mask.ndim != 3 or len(self.mask) != n):
            raise ValueError(f"need masks of shape ({n}, height, width); got {self.mask.shape}")
        if self.track_id is not None and self.track_id.shape != (n,):
            raise ValueError(f"need track ids of shape ({n},); got {self.track_id.shape}")
        if self.track_id is not None:
            given = self.track_id[self.track_id != NO_TRACK]
            if (given < 0).any() or len(np.unique(given)) != len(given):
                raise ValueError(f"need distinct track ids, or -1 for none; got {self.track_id}")

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Detections:
        """Return the rows that a boolean mask or an index array selects, in that order."""
        return Detections(
            self.xyxy[keep],
            self.score[keep],
            self.class_id[keep],
            None if self.mask is None else self.mask[keep],
            None if self.track_id is None else self.track_id[keep],
        )
