"""Run a model over a source and keep what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DetectTLError
from detect_tl.core.files import atomic_folder, refuse_existing
from detect_tl.core.geometry import Size
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.screen import require_display
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.counts import Counts
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.draw import draw_counts, draw_detections
from detect_tl.runtime.frames import Frame, Source
from detect_tl.runtime.fresh import kept_fresh
from detect_tl.runtime.mailbox import Turns
from detect_tl.runtime.opening import Model, Ready, opened_detector
from detect_tl.runtime.pipeline import Finder, PipelineStats, run_pipeline
from detect_tl.runtime.raw import RawFormat
from detect_tl.runtime.regions import Region, lines_of, zones_of
from detect_tl.runtime.result import PredictResult
from detect_tl.runtime.several import Several, open_any, predict_each
from detect_tl.runtime.sinks import INSTEAD_OF_WINDOW, Place, Sink, Write, chosen_sinks, window
from detect_tl.runtime.sources import open_source
from detect_tl.runtime.stopping import Stop, while_disk_lasts
from detect_tl.runtime.tiles import TiledDetector
from detect_tl.runtime.tracking import Tracker, check_followed

COUNTS = "counts.csv"


def predict(
    model: Model | Detector,
    source: str | Path,
    config: PredictConfig | None = None,
    *,
    progress: Progress | None = None,
) -> PredictResult:
    """Detect on everything that `source` gives.

    model: an exported file, several that each answer for some names (see `Wanted`), or a detector
    that is ready: it keeps its own settings, those of `DetectorConfig`, and stays open.
    source: image, folder, pattern, video, camera number, stream address, or "-" for a pipe; see
    `open_source`. Or a list of sources in a .txt file, see `read_list`: all are read at the same
    time, and each has its own folder of results in `config.out`.
    config: what is wanted; with tracking, `conf` is what begins a track, and detections down to
    `tracking.LOWEST_SCORE` carry one on. `LineCount` says what is in and what is out.

    A camera, stream or pipe runs until it is stopped by `limit`, the window, Ctrl-C or SIGTERM, is
    lost for good, or the disk is nearly full, and what was written until then is kept. Ctrl-C or
    SIGTERM on anything else leaves nothing half-done behind.

    Raises UsageError when `out` is not empty or a setting is wrong, DataError when the source
    cannot be read, WeightsError when the model cannot, MachineError for a camera, a display or a
    full disk.
    """
    config, progress = config or PredictConfig(), progress or Silent()
    if config.out is not None:
        refuse_existing(config.out)
    regions = lines_of(config.lines or {}), zones_of(config.zones or {})
    if config.show:
        require_display(INSTEAD_OF_WINDOW)
    with ExitStack() as stack:
        guard = stack.enter_context(ExitStack())
        frames = _opened(source, config, progress)
        guard.callback(frames.close)
        check_followed(frames.info, track=config.track, lines=bool(config.lines))
        chosen_sinks(config.save, frames.info, config.out)  # before a model is loaded for nothing
        ready = stack.enter_context(_ready(model, frames, config, progress))
        runner = _Runner(config, ready, *regions, progress)
        guard.pop_all()
        if isinstance(frames, Several):
            return predict_each(frames, runner.run, config.out, progress, show=config.show)
        return runner.run(frames, config.out)


def _opened(source: str | Path, config: PredictConfig, progress: Progress) -> Source | Several:
    """What is to be read; live sources are read from now on, so that no frame grows old."""
    size = config.stdin_size
    pipe = None if size is None else RawFormat(Size(*size), config.stdin_fps)

    def opened(name: str | Path) -> Source:
        found = open_source(name, pipe=pipe, reconnect=config.reconnect, say=progress.say)
        return kept_fresh(found)

    return open_any(source, opened, progress.say)


@contextmanager
def _ready(
    model: Model | Detector, source: Source | Several, config: PredictConfig, progress: Progress
) -> Iterator[Ready]:
    if isinstance(model, Detector):
        yield Ready(detector=model, workers=1, backend="", least=model.conf)
        return
    with opened_detector(model, source, config, progress) as ready:
        yield ready


class _Runner:
    """A detector that is ready for one source after the other, or several at a time."""

    def __init__(
        self,
        config: PredictConfig,
        ready: Ready,
        lines: Sequence[Region],
        zones: Sequence[Region],
        progress: Progress,
    ) -> None:
        self._config, self._ready, self._progress = config, ready, progress
        self._lines, self._zones = lines, zones
        self._finder: Finder = ready.detector
        if config.tiles is not None:
            self._finder = TiledDetector(ready.detector, config.tiles, config.tile_overlap)
        self._turns = Turns(ready.workers)

    def run(
        self,
        source: Source,
        out: Path | None,
        stop: Stop | None = None,
        shown: Write | None = None,
    ) -> PredictResult:
        """Run over a source, and close it.

        stop, shown: the wish to end, and where frames are shown, of several runs at a time.
        """
        config, ready = self._config, self._ready
        with ExitStack() as guard:
            guard.callback(source.close)
            check_followed(source.info, track=config.track, lines=bool(config.lines))
            names = ready.detector.spec.names
            job = _Job(
                source,
                ready,
                self._finder,
                self._turns,
                config.limit,
                self._progress,
                guard,
                stop,
                tracker=Tracker(ready.least, source.info.fps) if config.track else None,
                counts=Counts(self._lines, self._zones, names, tracked=config.track),
            )
            sinks = chosen_sinks(config.save, source.info, out)
            if config.show and shown is None:
                with window(f"detect-tl: {source.info.name}") as own:
                    return job.run(out, sinks, own)
            return job.run(out, sinks, shown)


@dataclass(slots=True)
class _Job:
    """One run, once everything it needs is open.

    guard: closes the source; let go when the pipeline takes the source over.
    stop: the wish to end, when several jobs run at a time. objects: detections by class id.
    """

    source: Source
    ready: Ready
    finder: Finder
    turns: Turns
    limit: int | None
    progress: Progress
    guard: ExitStack
    stop: Stop | None = None
    tracker: Tracker | None = None
    counts: Counts = field(default_factory=Counts)
    objects: Counter[int] = field(default_factory=Counter)

    @property
    def names(self) -> tuple[str, ...]:
        return self.ready.detector.spec.names

    def run(
        self, out: Path | None, sinks: Sequence[Sink], shown: Write | None = None
    ) -> PredictResult:
        info = self.source.info
        outlets = _Outlets()
        with ExitStack() as stack:
            if shown is not None:
                outlets.drawn.append(shown)
            folder = None
            if out is not None and (self.counts or any(sink.files for sink in sinks)):
                folder = stack.enter_context(atomic_folder(out))
                stack.enter_context(_named_as(folder, out))
                if info.endless:
                    outlets.plain.append(while_disk_lasts(out, self.source.findings))
            place = Place(folder=folder, source=info, names=self.names)
            for sink in sinks:
                outlets.add(sink, stack.enter_context(sink.open(place)))
            stats = self._drive(outlets)
            if self.counts and folder is not None:
                self.counts.write(place.file(COUNTS))
        return self._result(stats, place, out)

    def _result(self, stats: PipelineStats, place: Place, out: Path | None) -> PredictResult:
        return PredictResult(
            source=self.source.info,
            stats=stats,
            backend=self.ready.backend,
            objects={self.names[i]: n for i, n in sorted(self.objects.items())},
            files=() if out is None else tuple(out / name for name in place.files),
            findings=(*self.source.findings, *place.findings),
            tracks=None if self.tracker is None else self.tracker.count,
            counts=self.counts.as_json() if self.counts else None,
        )

    def _drive(self, outlets: _Outlets) -> PipelineStats:
        total = self.source.info.frame_count
        if self.limit is not None:
            total = min(self.limit, total or self.limit)
        with self.progress.step(f"Detecting on {self.source.info.name}", total) as bar:

            def use(frame: Frame, found: Detections) -> bool:
                more = self._use(frame, found, outlets)
                bar.advance()
                return more

            def told(stats: PipelineStats) -> None:
                if stats.age_ms is not None:
                    bar.describe(f"{stats.pace} on {self.source.info.name}")

            self.guard.pop_all()
            return run_pipeline(
                self.source,
                self.finder,
                use,
                workers=self.ready.workers,
                limit=self.limit,
                stop=self.stop,
                turns=self.turns,
                told=told,
            )

    def _use(self, frame: Frame, found: Detections, outlets: _Outlets) -> bool:
        """Follow, count and write; False when nobody wants more."""
        if self.tracker is not None:
            found = self.tracker(frame.index, found)
        self.counts.update(frame.size, found)
        self.objects.update(found.class_id.tolist())
        answers = [write(frame, found) for write in outlets.plain]
        if outlets.drawn:
            draw_detections(frame.image, found, self.names)
            draw_counts(frame.image, self.counts)
            answers += [write(frame, found) for write in outlets.drawn]
        return all(answers)


@dataclass(frozen=True, slots=True)
class _Outlets:
    """Who takes the frames: first as they came, then with what was found drawn on them."""

    plain: list[Write] = field(default_factory=list)
    drawn: list[Write] = field(default_factory=list)

    def add(self, sink: Sink, write: Write) -> None:
        (self.drawn if sink.drawn else self.plain).append(write)


@contextmanager
def _named_as(scratch: Path, out: Path) -> Iterator[None]:
    """Let errors name the folder that the user knows."""
    try:
        yield
    except DetectTLError as error:
        error.message = error.message.replace(str(scratch), str(out))
        raise
