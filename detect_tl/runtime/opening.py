"""From a model file to a detector that is ready for a source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.images import Image
from detect_tl.core.progress import Progress
from detect_tl.runtime.backends import Backend, load_backend
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

    def detector(self, backend: Backend) -> Detector:
        """A detector of these settings; raises UsageError for one that does not fit the model."""
        names = backend.spec.names
        return Detector(
            backend,
            conf=self.conf,
            iou=self.iou,
            max_det=self.max_det,
            classes=None if self.classes is None else class_ids(names, self.classes),
            imgsz=self.imgsz,
            rect=self.rect,
        )


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
    worth = info.frame_count is None or info.frame_count >= _WORTH_TRYING
    sample = source.sample() if worth else None
    choice = chosen_engine(path, sample, asked, threads=threads, calls=workers)
    with closing(choice.backend):
        if choice.reason:
            progress.say(choice.reason)
        detector = asked.detector(choice.backend)
        least = detector.conf
        if asked.track:
            detector.conf = lowered(least)
        yield Ready(detector=detector, workers=workers, backend=choice.name, least=least)


def chosen_engine(
    path: Path, sample: Image | None, asked: Asked, *, threads: int | None, calls: int = 1
) -> Choice:
    """The engine that was asked for, or the fastest on a sample of what is to come.

    sample: None where trying does not pay. The choice is kept in the user's cache. threads, calls:
    as for `load_backend`, which also says what is raised.
    """
    if asked.backend != AUTO:
        named = asked.backend
        backend = load_backend(path, named, threads=threads, calls=calls, device=asked.device)
        return Choice(named, backend)
    from platformdirs import user_cache_path

    return fastest_backend(
        path,
        sample,
        imgsz=asked.imgsz,
        rect=asked.rect,
        threads=threads,
        calls=calls,
        device=asked.device,
        memory=user_cache_path("detect-tl", appauthor=False) / "engines.json",
    )
