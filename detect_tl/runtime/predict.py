"""Run a model over a source and keep what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DetectTLError, UsageError, did_you_mean
from detect_tl.core.files import atomic_folder, refuse_existing
from detect_tl.core.findings import Finding
from detect_tl.core.progress import Progress, Silent
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.detector import Detector, class_ids
from detect_tl.runtime.draw import draw_detections
from detect_tl.runtime.encode import video_file
from detect_tl.runtime.frames import Frame, Source, SourceInfo
from detect_tl.runtime.fresh import kept_fresh
from detect_tl.runtime.mailbox import Turns
from detect_tl.runtime.pipeline import PipelineStats, run_pipeline, share_cores
from detect_tl.runtime.raw import RawFormat
from detect_tl.runtime.several import Several, open_any, predict_each, refuse_window
from detect_tl.runtime.sinks import Write, json_lines, picture_folder, window
from detect_tl.runtime.sources import open_source
from detect_tl.runtime.stopping import Stop, while_disk_lasts
from detect_tl.runtime.stream import RECONNECT_SECONDS

Output = Literal["video", "images", "jsonl"]
OUTPUTS: tuple[Output, ...] = get_args(Output)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult:
    """What a prediction run did.

    source: what was read. frames: how many were used. objects: detections by class name.
    files: what was written: the video, the folder of pictures, the JSON lines; empty without `out`.
    findings: what was odd about the source, for example fewer frames than its header promises.
    parts: of several sources, the result of each; the other values are those of all together.
    """

    source: SourceInfo
    stats: PipelineStats
    objects: dict[str, int]
    files: tuple[Path, ...]
    findings: tuple[Finding, ...]
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
    save: Collection[Output] | None = None,
    show: bool = False,
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
    save: of "video", "images", "jsonl"; when None, JSON lines with a video for moving sources and
    pictures for images.
    show: open a window; q, Esc or closing it ends the run.
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
    if show:
        refuse_window(source)
    progress = progress or Silent()
    with ExitStack() as stack:
        guard = stack.enter_context(ExitStack())

        def opened(name: str | Path) -> Source:
            return kept_fresh(open_source(name, pipe=pipe, reconnect=reconnect, say=progress.say))

        frames = open_any(source, opened, progress.say)
        guard.callback(frames.close)
        _outputs(save, frames.info, out)  # what is wrong with it is said before the model is loaded
        workers = 1
        if isinstance(model, Detector):
            detector = model
        else:
            info = frames.info
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
        turns = Turns(workers)
        guard.pop_all()

        def run(each: Source, own: Path | None, stop: Stop | None = None) -> PredictResult:
            with ExitStack() as guard:
                guard.callback(each.close)
                job = _Job(each, detector, workers, turns, limit, progress, guard, stop)
                return job.run(own, _outputs(save, each.info, own), show=show)

        if isinstance(frames, Several):
            return predict_each(frames, run, out, progress)
        return run(frames, out)


@dataclass(slots=True)
class _Job:
    """One run, once everything it needs is open.

    guard: closes the source; let go when the pipeline takes the source over.
    stop: the wish to end, when several jobs run at a time.
    """

    source: Source
    detector: Detector
    workers: int
    turns: Turns
    limit: int | None
    progress: Progress
    guard: ExitStack
    stop: Stop | None = None

    def run(self, out: Path | None, wanted: Sequence[Output], *, show: bool) -> PredictResult:
        objects: Counter[int] = Counter()
        files: list[Path] = []
        plain: list[Write] = [_counting(objects)]
        drawn: list[Write] = []
        with ExitStack() as stack:
            if show:
                drawn.append(stack.enter_context(window(f"detect-tl: {self.source.info.name}")))
            if out is not None:
                folder = stack.enter_context(atomic_folder(out))
                stack.enter_context(_named_as(folder, out))
                if self.source.info.endless:
                    plain.append(while_disk_lasts(out, self.source.findings))
                for kind in wanted:
                    name, writer = self._writer(kind, folder)
                    write = stack.enter_context(writer)
                    (plain if kind == "jsonl" else drawn).append(write)
                    files.append(out / name)
            stats = self._drive(plain, drawn)
        return PredictResult(
            source=self.source.info,
            stats=stats,
            objects={self.detector.spec.names[i]: n for i, n in sorted(objects.items())},
            files=tuple(files),
            findings=tuple(self.source.findings),
        )

    def _writer(self, kind: Output, folder: Path) -> tuple[str, AbstractContextManager[Write]]:
        info = self.source.info
        if kind == "video":
            name = f"{info.title}.mp4"
            return name, video_file(folder / name, info.fps)
        if kind == "images":
            return "images", picture_folder(folder / "images", stills=info.kind == "images")
        name = "detections.jsonl"
        return name, json_lines(folder / name, self.detector.spec.names)

    def _drive(self, plain: Sequence[Write], drawn: Sequence[Write]) -> PipelineStats:
        names = self.detector.spec.names
        total = self.source.info.frame_count
        if self.limit is not None:
            total = min(self.limit, total or self.limit)
        with self.progress.step(f"Detecting on {self.source.info.name}", total) as bar:

            def use(frame: Frame, found: Detections) -> bool:
                answers = [write(frame, found) for write in plain]
                if drawn:
                    draw_detections(frame.image, found, names)
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


def _counting(objects: Counter[int]) -> Write:
    def write(frame: Frame, found: Detections) -> bool:
        del frame
        objects.update(found.class_id.tolist())
        return True

    return write


def _outputs(
    save: Collection[Output] | None, info: SourceInfo, out: Path | None
) -> tuple[Output, ...]:
    if out is None:
        if save:
            raise UsageError("there is no folder to save into", hint="Name one with --out.")
        return ()
    stills = info.kind == "images"
    if save is None:
        return ("images", "jsonl") if stills else ("video", "jsonl")
    for name in save:
        if name not in OUTPUTS:
            raise UsageError(f"cannot save {name!r}", hint=did_you_mean(name, OUTPUTS))
    if not save:
        raise UsageError("nothing is to be saved", hint=f"Choose of: {', '.join(OUTPUTS)}.")
    if stills and "video" in save:
        raise UsageError(
            "single images make no video", hint="Save them as images; a video needs a video."
        )
    return tuple(name for name in OUTPUTS if name in save)
