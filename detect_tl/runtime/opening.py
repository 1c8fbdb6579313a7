"""From a model file to a detector that is ready for a source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.progress import Progress
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.choose import Choice, fastest_backend
from detect_tl.runtime.detector import Detector, class_ids
from detect_tl.runtime.frames import Source
from detect_tl.runtime.pipeline import share_cores
from detect_tl.runtime.several import Several
from detect_tl.runtime.tracking import lowered

AUTO = "auto"

_WORTH_TRYING = 100
"""Frames of a source from which a second spent on finding the fastest engine comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Settings of a detector, as `Detector` has them; classes by name or number.

    backend: name of an engine; auto: the fastest of this machine whose answers agree.
    track: whether detections of low scores are wanted too, to carry tracks on.
    """

    conf: float | Mapping[str, float] = 0.25
    iou: float = 0.7
    max_det: int = 300
    classes: Collection[str | int] | None = None
    imgsz: tuple[int, int] | None = None
    rect: bool | None = None
    backend: str = AUTO
    device: str = "auto"
    track: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A detector, how many frames it may have at once, and the engine that runs it.

    least: the confidence that was asked for, of all classes or of each; `detector.conf` is lower
    where objects are tracked.
    """

    detector: Detector
    workers: int
    backend: str
    least: float | Sequence[float]


@contextmanager
def opened_detector(
    path: Path, source: Source | Several, asked: Asked, progress: Progress
) -> Iterator[Ready]:
    """Load a model for a source, with the cores shared as suits it.

    Raises UsageError for a setting that is wrong, WeightsError for the model, MachineError for the
    engine or its device.
    """
    info = source.info
    workers, threads = share_cores(live=info.live, frames=info.frame_count)
    choice = _chosen(path, source, asked, threads, workers)
    with closing(choice.backend) as backend:
        for trial in choice.trials:
            why = trial.against or f"{trial.milliseconds:.1f} ms a picture"
            progress.say(f"engine {trial.backend}: {why}")
        detector = Detector(
            backend,
            conf=asked.conf,
            iou=asked.iou,
            max_det=asked.max_det,
            classes=None if asked.classes is None else class_ids(backend.spec.names, asked.classes),
            imgsz=asked.imgsz,
            rect=asked.rect,
        )
        least = detector.conf
        if asked.track:
            detector.conf = lowered(least)
        yield Ready(detector=detector, workers=workers, backend=choice.name, least=least)


def _chosen(
    path: Path, source: Source | Several, asked: Asked, threads: int, workers: int
) -> Choice:
    if asked.backend != AUTO:
        backend = load_backend(
            path, asked.backend, threads=threads, calls=workers, device=asked.device
        )
        return Choice(asked.backend, backend)
    from platformdirs import user_cache_path

    frames = source.info.frame_count
    return fastest_backend(
        path,
        source.sample() if frames is None or frames >= _WORTH_TRYING else None,
        imgsz=asked.imgsz,
        rect=asked.rect,
        threads=threads,
        calls=workers,
        device=asked.device,
        memory=user_cache_path("detect-tl", appauthor=False) / "engines.json",
    )
