"""Run a model over a source and keep what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DetectTLError, UsageError
from detect_tl.core.files import atomic_folder, refuse_existing
from detect_tl.core.findings import Finding
from detect_tl.core.progress import Progress, Silent
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.counts import Counts
from detect_tl.runtime.detector import Detector, class_ids
from detect_tl.runtime.draw import draw_counts, draw_detections
from detect_tl.runtime.frames import Frame, Source, SourceInfo
from detect_tl.runtime.fresh import kept_fresh
from detect_tl.runtime.mailbox import Turns
from detect_tl.runtime.pipeline import PipelineStats, run_pipeline, share_cores
from detect_tl.runtime.raw import RawFormat
from detect_tl.runtime.regions import lines_of, zones_of
from detect_tl.runtime.several import Several, open_any, predict_each, refuse_window
from detect_tl.runtime.sinks import Place, Sink, Write, chosen_sinks, window
from detect_tl.runtime.sources import open_source
from detect_tl.runtime.stopping import Stop, while_disk_lasts
from detect_tl.runtime.stream import RECONNECT_SECONDS
from detect_tl.runtime.tiles import TiledDetector
from detect_tl.runtime.tracking import Tracker, check_followed, lowered

COUNTS = "counts.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult:
    """What a prediction run did.

    source: what was read. frames: how many were used. objects: detections by class name.
    tracks: how many objects with different ids there were; None without tracking.
    counts: at lines and in zones, see `Counts.as_json`; None without any.
    files: what was written: the video, the folder of pictures, the JSON lines; empty without `out`.
    findings: what was odd about the source, for example fewer frames than its header promises, and
    what sinks had to say.
    parts: of several sources, the result of each; the other values are those of all together, and
    counts are in the parts alone.
    """

    source: SourceInfo
    stats: PipelineStats
    objects: dict[str, int]
    files: tuple[Path, ...]
    findings: tuple[Finding, ...]
    tracks: int | None = None
    counts: dict[str, Any] | None = None
    parts: tuple[PredictResult, ...] = ()

    @property
    def frames(self) -> int:
        return self.stats.frames

    @property
    def fps(self) -> float:
        return self.stats.fps

    @property
    def failed(self) -> bool:
        """Whether a part of what was wanted is missing: a source of several, or the end of one."""
        return any(finding.severity == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        age = self.stats.age_ms
        return {
            "source": self.source.name,
            "kind": self.source.kind,
            "frames": self.frames,
            "frames_in_header": self.source.frame_count,
            "dropped": self.stats.dropped,
            "seconds": round(self.stats.seconds, 3),
            "fps": round(self.fps, 2),
            "stage_ms": {name: round(ms, 2) for name, ms in self.stats.stage_ms.items()},
            "objects": self.objects,
            "tracks": self.tracks,
            "counts": self.counts,
            "files": [str(path) for path in self.files],
            "frame_age_ms": age and {name: round(ms, 2) for name, ms in age.items()},
            "stopped": self.stats.stopped,
            "findings": [finding.as_json() for finding in self.findings],
            "sources": [part.as_json() for part in self.parts],
        }


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
        info = frames.info
        check_followed(info, track=track, lines=bool(crossed))
        chosen_sinks(save, info, out)  # what is wrong with it is said before the model is loaded
        workers = 1
        if isinstance(model, Detector):
            detector = model
            least = detector.conf
        else:
            workers, threads = share_cores(live=info.live, frames=info.frame_count)
            engine = load_backend(model, backend, threads=threads, device=device)
            stack.callback(engine.close)
            detector = Detector(
                engine,
                conf=conf,
                iou=iou,
                max_det=max_det,
                classes=None if classes is None else class_ids(engine.spec.names, classes),
                imgsz=imgsz,
                rect=rect,
            )
            least = detector.conf
            if track:
                detector.conf = lowered(least)
        finder = detector if tiles is None else TiledDetector(detector, tiles, tile_overlap)
        turns = Turns(workers)
        guard.pop_all()

        def run(each: Source, own: Path | None, stop: Stop | None = None) -> PredictResult:
            with ExitStack() as guard:
                guard.callback(each.close)
                check_followed(each.info, track=track, lines=bool(crossed))
                job = _Job(each, finder, workers, turns, limit, progress, guard, stop)
                job.tracker = Tracker(least, each.info.fps) if track else None
                job.counts = Counts(crossed, stayed_in, finder.spec.names, tracked=track)
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
    detector: Detector | TiledDetector
    workers: int
    turns: Turns
    limit: int | None
    progress: Progress
    guard: ExitStack
    stop: Stop | None = None
    tracker: Tracker | None = None
    counts: Counts = field(default_factory=Counts)
    objects: Counter[int] = field(default_factory=Counter)

    def run(self, out: Path | None, sinks: Sequence[Sink], *, show: bool) -> PredictResult:
        info, names = self.source.info, self.detector.spec.names
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
            objects={names[i]: n for i, n in sorted(self.objects.items())},
            files=() if out is None else tuple(out / name for name in place.files),
            findings=(*self.source.findings, *place.findings),
            tracks=None if self.tracker is None else self.tracker.count,
            counts=self.counts.as_json() if self.counts else None,
        )

    def _drive(self, plain: Sequence[Write], drawn: Sequence[Write]) -> PipelineStats:
        names = self.detector.spec.names
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
                self.detector,
                use,
                workers=self.workers,
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
