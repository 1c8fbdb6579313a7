"""Run a model over a source and keep what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DetectTLError, UsageError
from detect_tl.core.files import atomic_folder, refuse_existing
from detect_tl.core.progress import Progress, Silent
from detect_tl.runtime.counts import Counts
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.draw import draw_counts, draw_detections
from detect_tl.runtime.frames import Frame, Source
from detect_tl.runtime.fresh import kept_fresh
from detect_tl.runtime.mailbox import Turns
from detect_tl.runtime.opening import Asked, Ready, opened_detector
from detect_tl.runtime.pipeline import Finder, PipelineStats, run_pipeline
from detect_tl.runtime.raw import RawFormat
from detect_tl.runtime.regions import lines_of, zones_of
from detect_tl.runtime.result import PredictResult
from detect_tl.runtime.several import Several, open_any, predict_each, refuse_window
from detect_tl.runtime.sinks import Place, Sink, Write, chosen_sinks, window
from detect_tl.runtime.sources import open_source
from detect_tl.runtime.stopping import Stop, while_disk_lasts
from detect_tl.runtime.stream import RECONNECT_SECONDS
from detect_tl.runtime.tiles import TiledDetector
from detect_tl.runtime.tracking import Tracker, check_followed

COUNTS = "counts.csv"


def predict(
    model: Path | Detector,
    source: str | Path,
    *,
    out: Path | None = None,
    save: Collection[str] | None = None,
    show: bool = False,
    track: bool = False,
    lines: Mapping[str, Sequence[float]] | None = None,
    zones: Mapping[str, Sequence[float]] | None = None,
    tiles: int | None = None,
    tile_overlap: float = 0.2,
    conf: float | Mapping[str, float] = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    classes: Collection[str | int] | None = None,
    imgsz: tuple[int, int] | None = None,
    rect: bool | None = None,
    backend: str = "auto",
    device: str = "auto",
    limit: int | None = None,
    pipe: RawFormat | None = None,
    reconnect: float = RECONNECT_SECONDS,
    progress: Progress | None = None,
) -> PredictResult:
    """Detect on everything that `source` gives.

    model: an exported file, or a detector that is ready (it keeps its own settings and stays
    open; `conf` to `device` are for a file).
    source: image, folder, pattern, video, camera number, stream address, or "-" for a pipe; see
    `open_source`, also for `pipe` and `reconnect`. Or a list of sources in a .txt file, see
    `read_list`: all are read at the same time, and each has its own folder of results in `out`.
    out: folder for the results, which appears whole or not at all; nothing is written without it.
    conf: scores must be above it; one value, or one for each class by name.
    save: names of sinks: "video", "images", "jsonl", "csv", "crops", "yolo", "labelme" and those of
    other packages; when None, JSON lines with a video for moving sources and pictures for images.
    show: open a window; q, Esc or closing it ends the run.
    track: give the objects of a video ids. `conf` is then what begins a track; detections down to
    `tracking.LOWEST_SCORE` carry one on.
    lines: to count who crosses them; name: x1, y1, x2, y2, in pixels or fractions of the picture.
    They need `track`; `LineCount` says what is in and what is out.
    zones: to count who is inside, where the lower edge of the box is; name: x1, y1, x2, y2, ….
    tiles: side in pixels; look at tiles too, which share `tile_overlap` of it with the next.
    classes: names or numbers to keep. limit: end after so many frames.

    A camera, stream or pipe runs until it is stopped by `limit`, the window, Ctrl-C or SIGTERM, is
    lost for good, or the disk is nearly full, and what was written until then is kept. Ctrl-C or
    SIGTERM on anything else leaves nothing half-done behind.

    Raises UsageError when `out` is not empty or a setting is wrong, DataError when the source
    cannot be read, WeightsError when the model cannot, MachineError for a camera, a display or a
    full disk.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}", hint="It must be 1 or more.")
    if out is not None:
        refuse_existing(out)
    crossed, stayed_in = lines_of(lines or {}), zones_of(zones or {})
    if show:
        refuse_window(source)
    progress = progress or Silent()
    with ExitStack() as stack:
        guard = stack.enter_context(ExitStack())

        def opened(name: str | Path) -> Source:
            return kept_fresh(open_source(name, pipe=pipe, reconnect=reconnect, say=progress.say))

        frames = open_any(source, opened, progress.say)
        guard.callback(frames.close)
        check_followed(frames.info, track=track, lines=bool(crossed))
        chosen_sinks(save, frames.info, out)  # before the model is loaded for nothing
        if isinstance(model, Detector):
            ready = Ready(detector=model, workers=1, backend="", least=model.conf)
        else:
            asked = Asked(
                conf=conf,
                iou=iou,
                max_det=max_det,
                classes=classes,
                imgsz=imgsz,
                rect=rect,
                backend=backend,
                device=device,
                track=track,
            )
            ready = stack.enter_context(opened_detector(model, frames, asked, progress))
        finder: Finder = ready.detector
        if tiles is not None:
            finder = TiledDetector(ready.detector, tiles, tile_overlap)
        turns = Turns(ready.workers)
        guard.pop_all()

        def run(each: Source, own: Path | None, stop: Stop | None = None) -> PredictResult:
            with ExitStack() as guard:
                guard.callback(each.close)
                check_followed(each.info, track=track, lines=bool(crossed))
                job = _Job(each, ready, finder, turns, limit, progress, guard, stop)
                job.tracker = Tracker(ready.least, each.info.fps) if track else None
                job.counts = Counts(crossed, stayed_in, job.names, tracked=track)
                return job.run(own, chosen_sinks(save, each.info, own), show=show)

        if isinstance(frames, Several):
            return predict_each(frames, run, out, progress)
        return run(frames, out)


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

    def run(self, out: Path | None, sinks: Sequence[Sink], *, show: bool) -> PredictResult:
        info, names = self.source.info, self.names
        plain: list[Write] = []
        drawn: list[Write] = []
        with ExitStack() as stack:
            if show:
                drawn.append(stack.enter_context(window(f"detect-tl: {info.name}")))
            folder = None
            if out is not None and (self.counts or any(sink.files for sink in sinks)):
                folder = stack.enter_context(atomic_folder(out))
                stack.enter_context(_named_as(folder, out))
                if info.endless:
                    plain.append(while_disk_lasts(out, self.source.findings))
            place = Place(folder=folder, source=info, names=names)
            for sink in sinks:
                write = stack.enter_context(sink.open(place))
                (drawn if sink.drawn else plain).append(write)
            stats = self._drive(plain, drawn)
            if self.counts and folder is not None:
                self.counts.write(place.file(COUNTS))
        return PredictResult(
            source=info,
            stats=stats,
            backend=self.ready.backend,
            objects={names[i]: n for i, n in sorted(self.objects.items())},
            files=() if out is None else tuple(out / name for name in place.files),
            findings=(*self.source.findings, *place.findings),
            tracks=None if self.tracker is None else self.tracker.count,
            counts=self.counts.as_json() if self.counts else None,
        )

    def _drive(self, plain: Sequence[Write], drawn: Sequence[Write]) -> PipelineStats:
        names = self.names
        total = self.source.info.frame_count
        if self.limit is not None:
            total = min(self.limit, total or self.limit)
        with self.progress.step(f"Detecting on {self.source.info.name}", total) as bar:

            def use(frame: Frame, found: Detections) -> bool:
                if self.tracker is not None:
                    found = self.tracker(frame.index, found)
                self.counts.update(frame.size, found)
                self.objects.update(found.class_id.tolist())
                answers = [write(frame, found) for write in plain]
                if drawn:
                    draw_detections(frame.image, found, names)
                    draw_counts(frame.image, self.counts)
                    answers += [write(frame, found) for write in drawn]
                bar.advance()
                return all(answers)

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


@contextmanager
def _named_as(scratch: Path, out: Path) -> Iterator[None]:
    """Let errors name the folder that the user knows."""
    try:
        yield
    except DetectTLError as error:
        error.message = error.message.replace(str(scratch), str(out))
        raise
