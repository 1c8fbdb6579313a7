"""Where results go: JSON lines, pictures, a window. Videos are in `encode`.

Each writer is a context manager that gives a function; the function takes one frame and its
detections and returns False when the user wants to stop. What is written appears when the context
ends, and not at all when it ends with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.files import atomic_path, disk_errors
from detect_tl.core.images import write_image
from detect_tl.core.screen import STOP_KEYS, opened_window
from detect_tl.runtime.frames import Frame

Write = Callable[[Frame, Detections], bool]

INSTEAD_OF_WINDOW = (
    "Leave --show out: --out writes files to look at, and `detect-tl serve MODEL` shows the "
    "pictures in a browser, also one on another machine."
)

_WRITABLE = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp".split())


@contextmanager
def json_lines(path: Path, names: Sequence[str]) -> Iterator[Write]:
    """Write one JSON document a frame; see `as_record`."""
    with atomic_path(path) as scratch, scratch.open("wb") as stream:

        def write(frame: Frame, found: Detections) -> bool:
            stream.write(orjson.dumps(as_record(frame, found, names)) + b"\n")
            return True

        yield write


def as_record(frame: Frame, found: Detections, names: Sequence[str]) -> dict[str, Any]:
    """One frame for JSON: index, time in seconds, name, size, and its detections.

    A detection has its class (name and id), its score in [0, 1], its box as x1, y1, x2, y2 in
    pixels of the upright frame, and its mask as COCO run lengths where the model has masks.
    """
    rows = zip(found.xyxy.tolist(), found.score.tolist(), found.class_id.tolist(), strict=True)
    detections: list[dict[str, Any]] = [
        {
            "class": names[class_id],
            "class_id": class_id,
            "score": round(score, 5),
            "xyxy": [round(v, 2) for v in xyxy],
        }
        for xyxy, score, class_id in rows
    ]
    if found.mask is not None:
        for item, mask in zip(detections, found.mask, strict=True):
            item["mask"] = _run_lengths(mask)
    return {
        "frame": frame.index,
        "time": round(frame.time, 6),
        "name": frame.name,
        "width": frame.size.width,
        "height": frame.size.height,
        "detections": detections,
    }


@contextmanager
def picture_folder(folder: Path, *, stills: bool) -> Iterator[Write]:
    """Write every frame as a picture: stills under their own names, video frames numbered."""

    def write(frame: Frame, found: Detections) -> bool:
        del found
        numbered = f"{frame.name}-{frame.index:06d}.jpg"
        target = folder / (_still_name(frame) if stills else numbered)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_image(target, frame.image)
        return True

    yield write


@contextmanager
def window(title: str) -> Iterator[Write]:
    """Show every frame; q, Esc or closing the window ends the run.

    Raises MachineError where there is no display, or OpenCV was built without windows.
    """
    import cv2

    def write(frame: Frame, found: Detections) -> bool:
        del found
        cv2.imshow(title, frame.image)
        if cv2.waitKey(1) & 0xFF in STOP_KEYS:
            return False
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1

    with opened_window(title, INSTEAD_OF_WINDOW):
        yield write


def _still_name(frame: Frame) -> str:
    """The image's own name, as JPEG where OpenCV reads its kind but does not write it."""
    return frame.name if Path(frame.name).suffix.lower() in _WRITABLE else f"{frame.name}.jpg"


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    from pycocotools import mask as coder

    coded = coder.encode(np.asfortranarray(mask.view(np.uint8)))
    return {"size": [int(v) for v in coded["size"]], "counts": coded["counts"].decode("ascii")}
