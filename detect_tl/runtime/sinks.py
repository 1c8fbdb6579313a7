"""Where results go: what a sink is, and the ones for JSON lines, pictures and a window.

Each is a context manager that gives a function; the function takes one frame and its detections
and returns False when the user wants to stop. What is written appears when the context ends, and
not at all when it ends with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from detect_tl import plugins
from detect_tl.core.detections import NO_TRACK, Detections
from detect_tl.core.errors import UsageError
from detect_tl.core.files import atomic_path, disk_errors
from detect_tl.core.findings import Finding
from detect_tl.core.images import write_image
from detect_tl.core.screen import STOP_KEYS, fit_window, opened_window
from detect_tl.runtime.frames import Frame, SourceInfo

Write = Callable[[Frame, Detections], bool]

INSTEAD_OF_WINDOW = (
    "Leave --show out: --out writes files to look at, and `detect-tl serve MODEL` shows the "
    "pictures in a browser, also one on another machine."
)

_WRITABLE = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a sink is opened with.

    folder: the results of the run; it appears as the user's when the run has ended well, and not
    at all when it ends with an error. None when the user wants no files.
    source: what is read. names: of the model's classes, by class id.
    findings: a sink adds what the user should know when the run has ended.
    files: what sinks have written, named by `file`.
    """

    folder: Path | None
    source: SourceInfo
    names: Sequence[str]
    findings: list[Finding] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def file(self, name: str) -> Path:
        """Where a file or folder of this name goes; the result of the run will name it."""
        if self.folder is None:
            raise ValueError(f"there is no folder for {name}: a sink of files must say files=True")
        self.files.append(name)
        return self.folder / name


@dataclass(frozen=True, slots=True)
class Sink:
    """One kind of `--save`, an entry point of the group `detect_tl.sinks`.

    description: one line for people.
    open: called once with a `Place`; a context manager that gives the function which takes every
    frame in order, in one thread, with its detections. It is left with the error, if there was
    one. The function does not keep the image nor change it; the next sink gets the same.
    drawn: whether it wants boxes drawn on the image; else it gets the image as it was.
    files: whether it writes into `Place.folder`.
    """

    description: str
    open: Callable[[Place], AbstractContextManager[Write]]
    drawn: bool = False
    files: bool = True


def sink_names() -> list[str]:
    """Names of all sinks on offer, sorted; nothing is imported."""
    return plugins.names("detect_tl.sinks")


def load_sink(name: str) -> Sink:
    """Load one sink by name; raise UsageError with a suggestion when there is none."""
    return plugins.load_as("detect_tl.sinks", name, Sink)


def chosen_sinks(save: Collection[str] | None, info: SourceInfo, out: Path | None) -> list[Sink]:
    """The sinks that a user names, or the usual ones; raise UsageError for what cannot be."""
    if save is None:
        if out is None:
            return []
        save = ("images", "jsonl") if info.kind == "images" else ("video", "jsonl")
    if not save:
        raise UsageError("nothing is to be saved", hint=f"Choose of: {', '.join(sink_names())}.")
    sinks = [load_sink(name) for name in dict.fromkeys(save)]
    if out is None and any(sink.files for sink in sinks):
        raise UsageError("there is no folder to save into", hint="Name one with --out.")
    return sinks


def picture_name(frame: Frame, source: SourceInfo) -> str:
    """The file name of a frame: its own for a single image, which may hold folders, else numbered.

    Its kind becomes JPEG where OpenCV reads it but does not write it.
    """
    return _picture_name(frame, stills=source.kind == "images")


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
    pixels of the upright frame, its mask as COCO run lengths where the model has masks, and with
    tracking its `track_id`, which is null for an object that has none (yet).
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
    if found.track_id is not None:
        for item, number in zip(detections, found.track_id.tolist(), strict=True):
            item["track_id"] = None if number == NO_TRACK else number
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
        target = folder / _picture_name(frame, stills=stills)
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

    fitted = False

    def write(frame: Frame, found: Detections) -> bool:
        del found
        nonlocal fitted
        if not fitted:
            fit_window(title, *frame.size)
            fitted = True
        cv2.imshow(title, frame.image)
        if cv2.waitKey(1) & 0xFF in STOP_KEYS:
            return False
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1

    with opened_window(title, INSTEAD_OF_WINDOW):
        yield write


def _picture_name(frame: Frame, *, stills: bool) -> str:
    if not stills:
        return f"{frame.name}-{frame.index:06d}.jpg"
    return frame.name if Path(frame.name).suffix.lower() in _WRITABLE else f"{frame.name}.jpg"


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    from pycocotools import mask as coder

    coded = coder.encode(np.asfortranarray(mask.view(np.uint8)))
    return {"size": [int(v) for v in coded["size"]], "counts": coded["counts"].decode("ascii")}


JSON_LINES = Sink(
    "a JSON document for every frame",
    lambda place: json_lines(place.file("detections.jsonl"), place.names),
)
IMAGES = Sink(
    "every frame as a picture with its boxes",
    lambda place: picture_folder(place.file("images"), stills=place.source.kind == "images"),
    drawn=True,
)
