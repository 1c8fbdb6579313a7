"""What must be known of a detector to feed it and to read its answers, whichever engine runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Task = Literal["detect", "segment"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The contract between a model, its preprocessing and its postprocessing.

    Input: (batch, 3, height, width) float32 RGB in [0, 1], letterboxed with grey 114/255.
    Output 0: (batch, 4 + classes [+ mask coefficients], anchors): cx, cy, w, h in input pixels,
    then one score in [0, 1] per class; with `end2end`, (batch, rows, 6 [+ mask coefficients]): x1,
    y1, x2, y2, score, class, already suppressed.
    Output 1, for "segment": (batch, mask coefficients, height / 4, width / 4) prototypes.

    names: class names in the order of their ids.
    imgsz: (height, width) in pixels that the model was trained or exported for.
    stride: the largest; both input sides must be multiples of it.
    dynamic: whether other input sizes are accepted.
    end2end: whether the answers need no non-maximum suppression (YOLO26).
    """

    names: tuple[str, ...]
    task: Task = "detect"
    imgsz: tuple[int, int] = (640, 640)
    stride: int = 32
    batch: int = 1
    dynamic: bool = False
    end2end: bool = False

    @property
    def class_count(self) -> int:
        return len(self.names)
