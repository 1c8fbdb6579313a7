"""The fastest engine of this machine whose answers agree, found by trying."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError, DetectTLError, MachineError, WeightsError
from detect_tl.core.files import read_json, sha256_file, write_json
from detect_tl.core.geometry import boxes_iou
from detect_tl.core.images import Image
from detect_tl.runtime.backends import Backend, load_backend, readers
from detect_tl.runtime.detector import Detector

SECONDS = 1.0
"""How long all engines together are timed; loading them comes on top."""

_WARM_UP, _FEWEST = 2, 3  # calls that do not count, and at least so many that do

# Two engines agree when each finds what the other clearly sees: a box of its class, not far from
# its score and its place. Half precision and int8 move both a little; what they move is the logit,
# so a score of .36 may become .22 where one of .9 becomes .82.
_CLEAR, AGREEMENT_CONFIDENCE = 0.35, 0.2
_LOGIT, _IOU = 0.7, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One engine on one picture. milliseconds: median of a call, from picture to detections.

    against: why it is not taken; empty for one that may be. runs: whether it could be loaded.
    """

    backend: str
    milliseconds: float | None = None
    against: str = ""
    runs: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that was taken, open, and what was tried for it; nothing, where it was known."""

    name: str
    backend: Backend
    trials: tuple[Trial, ...] = ()

    @property
    def reason(self) -> str:
        """Why it was taken, in a sentence; empty where nothing was tried.

        Of engines that do not run here or do not run such files only `benchmark` tells.
        """
        if not self.trials:
            return ""
        ran = [each for each in self.trials if each.runs]
        told = {each.backend: each.against or f"{each.milliseconds:.1f} ms" for each in ran}
        first = f"{self.name} is the fastest engine here: {told.pop(self.name)} a picture"
        others = "; ".join(f"{name}: {text}" for name, text in told.items())
        return f"{first} ({others})" if others else first


def fastest_backend(
    path: Path,
    image: Image | None,
    *,
    imgsz: tuple[int, int] | None = None,
    rect: bool | None = None,
    threads: int | None = None,
    calls: int = 1,
    device: str = "auto",
    memory: Path | None = None,
) -> Choice:
    """Try all engines that read this file on one picture, and take the fastest that agrees.

    The first that loads is the measure of what is right: ONNX Runtime, where it reads the file.
    Without a picture, because so little is to be done that trying does not pay, it is taken itself.
    imgsz, rect: as for `Detector`. memory: a file that keeps the choice for this
    model and machine, so that it is made once; one that cannot be read or written is done without.

    Raises what the first engine raised when none can run the file.
    """
    names = readers(path)
    options: dict[str, Any] = {"threads": threads, "calls": calls, "device": device}
    if image is None or len(names) == 1:
        return Choice(names[0], load_backend(path, names[0], **options))
    key = _key(path, image, names, [*options.values(), imgsz, rect]) if memory else ""
    known = _remembered(memory, key) if memory else None
    if known in names:
        return Choice(known, load_backend(path, known, **options))
    trials: list[Trial] = []
    right: Detections | None = None
    errors: list[DetectTLError] = []
    for name in names:
        try:
            backend = load_backend(path, name, **options)
        except (MachineError, WeightsError) as error:
            errors.append(error)
            trials.append(Trial(backend=name, against=error.message, runs=False))
            continue
        with closing(backend):
            detector = Detector(backend, conf=AGREEMENT_CONFIDENCE, imgsz=imgsz, rect=rect)
            trial, found = _tried(name, detector, image, right, SECONDS / len(names))
        trials.append(trial)
        right = found if right is None else right
    best = min(
        (trial for trial in trials if not trial.against),
        key=lambda trial: trial.milliseconds or float("inf"),
        default=None,
    )
    if best is None:
        raise errors[0]
    if memory:
        _remember(memory, key, best.backend)
    return Choice(best.backend, load_backend(path, best.backend, **options), tuple(trials))


def _tried(
    name: str, detector: Detector, image: Image, right: Detections | None, seconds: float
) -> tuple[Trial, Detections]:
    found = detector([image])[0]
    apart = "" if right is None else disagreement(right, found)
    if apart:
        return Trial(backend=name, against=apart), found
    times = timed(detector, image, seconds)
    return Trial(backend=name, milliseconds=1000 * float(np.median(times))), found


def timed(detector: Detector, image: Image, seconds: float) -> list[float]:
    """Seconds of one call after another, for about so many seconds; the first ones do not count."""
    for _ in range(_WARM_UP):
        detector([image])
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST or time.perf_counter() < end:
        began = time.perf_counter()
        detector([image])
        times.append(time.perf_counter() - began)
    return times


def disagreement(first: Detections, second: Detections) -> str:
    """What the one clearly detects and the other does not, in words; empty where they agree."""
    for ours, theirs in ((first, second), (second, first)):
        clear = np.flatnonzero(ours.score >= _CLEAR)
        alone = [row for row in clear.tolist() if not _alike(ours, row, theirs)]
        if alone:
            return f"{len(alone)} of {len(clear)} clear detections have no like"
    return ""


def _alike(ours: Detections, row: int, theirs: Detections) -> bool:
    near = theirs.class_id == ours.class_id[row]
    near &= np.abs(_logit(theirs.score) - _logit(ours.score[row])) <= _LOGIT
    boxes = _grown(theirs.xyxy[near])
    box = np.broadcast_to(_grown(ours.xyxy[row]), boxes.shape)
    return bool((boxes_iou(box, boxes) >= _IOU).any())


def _logit(score: NDArray[np.float32] | np.float32) -> NDArray[np.float64]:
    inside = np.clip(np.asarray(score, np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def _grown(xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Boxes half a pixel larger on all sides, so that even one without an area is like itself."""
    grown: NDArray[np.float64] = xyxy.astype(np.float64) + np.array([-0.5, -0.5, 0.5, 0.5])
    return grown


def _key(path: Path, image: Image, names: list[str], asked: Sequence[Any]) -> str:
    """Everything that which engine is the fastest may depend on."""
    versions = [_version(package) for package in ("detect-tl", "onnxruntime", "openvino")]
    machine = platform.machine(), platform.processor(), os.cpu_count()
    parts = sha256_file(path), *names, *versions, *machine, *asked, *image.shape[:2]
    return " ".join(str(part).replace(" ", "") for part in parts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


_KEPT = 200  # choices


def _remembered(memory: Path, key: str) -> str | None:
    found = _choices(memory).get(key)
    return found if isinstance(found, str) else None


def _remember(memory: Path, key: str, name: str) -> None:
    choices = list({**_choices(memory), key: name}.items())[-_KEPT:]
    try:
        write_json(memory, dict(choices))
    except (OSError, DetectTLError):
        return  # a disk that cannot be written costs the next start a second


def _choices(memory: Path) -> dict[str, Any]:
    try:
        found = read_json(memory)
    except (OSError, DataError):
        return {}
    return found if isinstance(found, dict) else {}
