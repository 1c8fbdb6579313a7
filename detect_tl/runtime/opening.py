"""From a model file to a detector that is ready for a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from detect_tl.core.errors import UsageError
from detect_tl.core.images import Image
from detect_tl.core.progress import Progress
from detect_tl.runtime.backends import Backend, engine_device, load_backend
from detect_tl.runtime.choose import Choice, fastest_backend
from detect_tl.runtime.config import AUTO, DetectorConfig, PredictConfig
from detect_tl.runtime.detector import Detector, class_ids
from detect_tl.runtime.frames import Source
from detect_tl.runtime.pipeline import share_cores
from detect_tl.runtime.several import Several
from detect_tl.runtime.tracking import lowered
from detect_tl.runtime.wanted import Wanted, WantedBackend

_WORTH_TRYING = 100
"""Frames of a source from which a second spent on finding the fastest engine comes back."""


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


Model = Path | Sequence[Wanted]
"""An exported file, or files that each answer for some of the names that are asked for."""


@contextmanager
def opened_detector(
    model: Model, source: Source | Several, config: PredictConfig, progress: Progress
) -> Iterator[Ready]:
    """Load a model for a source, with the cores shared as suits it.

    Raises UsageError for a setting that is wrong, WeightsError for the model, MachineError for the
    engine or its device.
    """
    info = source.info
    workers, threads = share_cores(live=info.live, frames=info.frame_count)
    worth = info.frame_count is None or info.frame_count >= _WORTH_TRYING
    sample = source.sample() if worth else None
    backend, names, reasons = open_model(model, sample, config, threads=threads, calls=workers)
    with closing(backend):
        for reason in reasons:
            progress.say(reason)
        detector = make_detector(backend, config)
        least = detector.conf
        if config.track:
            detector.conf = lowered(least)
        yield Ready(detector=detector, workers=workers, backend=names, least=least)


def open_model(
    model: Model,
    sample: Image | None,
    config: DetectorConfig,
    *,
    threads: int | None,
    calls: int = 1,
) -> tuple[Backend, str, list[str]]:
    """A model in its engine, with the name of the engine, and why it was taken."""
    if isinstance(model, Path):
        choice = chosen_engine(model, sample, config, threads=threads, calls=calls)
        return choice.backend, choice.name, [choice.reason] if choice.reason else []
    with ExitStack() as guard:
        choices = []
        for part in model:
            choice = chosen_engine(part.path, sample, config, threads=threads, calls=calls)
            guard.callback(choice.backend.close)
            choices.append(choice)
        backends = [choice.backend for choice in choices]
        joined = WantedBackend(list(zip(backends, (part.labels for part in model), strict=True)))
        guard.pop_all()
    names = dict.fromkeys(choice.name for choice in choices)
    return joined, " + ".join(names), [choice.reason for choice in choices if choice.reason]


def chosen_engine(
    path: Path,
    sample: Image | None,
    config: DetectorConfig,
    *,
    threads: int | None,
    calls: int = 1,
) -> Choice:
    """The engine that was asked for, or the fastest on a sample of what is to come.

    sample: None where trying does not pay. The choice is kept in the user's cache. threads, calls:
    as for `load_backend`, which also says what is raised.
    """
    device = engine_device(config.device)
    if config.backend != AUTO:
        named = config.backend
        backend = load_backend(path, named, threads=threads, calls=calls, device=device)
        return Choice(named, backend)
    from platformdirs import user_cache_path

    return fastest_backend(
        path,
        sample,
        imgsz=config.imgsz,
        rect=config.rect,
        threads=threads,
        calls=calls,
        device=device,
        memory=user_cache_path("detect-tl", appauthor=False) / "engines.json",
    )


def make_detector(backend: Backend, config: DetectorConfig) -> Detector:
    """A detector of these settings; raises UsageError for one that does not fit the model."""
    if config.conf == AUTO:
        raise UsageError(
            "the best threshold of every class is not known here", hint="Give a number as conf."
        )
    names = backend.spec.names
    return Detector(
        backend,
        conf=config.conf,
        iou=config.iou,
        max_det=config.max_det,
        classes=None if config.classes is None else class_ids(names, config.classes),
        imgsz=config.imgsz,
        rect=config.rect,
    )
