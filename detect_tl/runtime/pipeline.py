"""Reading, detecting and using the results at the same time, each at its own pace.

    reader thread ──inbox──▶ dispatcher ──▶ worker threads ──outbox──▶ the caller's thread

Frames come out in the order in which they went in. Everything in between is bounded. An error in
any stage ends all of them and is raised to the caller. Live, a frame is taken when the one before
it has been detected on and the caller is ready for its result, and then the newest: its age when
it is used is at most one frame time, one detection, and the rest of what the caller is at.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from detect_tl.core.detections import Detections
from detect_tl.core.images import Image
from detect_tl.runtime.ages import Ages
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.frames import Frame, Source
from detect_tl.runtime.mailbox import Channel, EndedError, Turns
from detect_tl.runtime.stopping import Stop, asked_by_signals

Consume = Callable[[Frame, Detections], bool]
"""Uses one result; returns False when nobody wants any more."""


class Finder(Protocol):
    """Finds objects in pictures, as a `Detector` does; from several threads at once."""

    def __call__(self, images: Sequence[Image]) -> list[Detections]: ...


MOST_WORKERS = 8
_LET_GO_SECONDS = 3.0
_TELL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStats:
    """What a run did and where its time went.

    seconds: from the first frame asked for to the last one used.
    fps: frames used per second. dropped: live frames that a newer one replaced.
    stage_ms: mean milliseconds a frame in each stage; stages overlap, so they add up to more.
    age_ms: of a live source, from the capture of a frame until it was used: "p50", "p95", "max".
    stopped: whether the run was ended before the source was.
    """

    frames: int
    seconds: float
    fps: float
    dropped: int
    stage_ms: dict[str, float] = field(default_factory=dict)
    age_ms: dict[str, float] | None = None
    stopped: bool = False

    @property
    def pace(self) -> str:
        """How fast it was, in a few words: "25.0 frames/s, age p50 41 ms, p95 66 ms"."""
        text = f"{self.fps:.1f} frames/s"
        if self.age_ms is None:
            return text
        return f"{text}, age p50 {self.age_ms['p50']:.0f} ms, p95 {self.age_ms['p95']:.0f} ms"


def joined_stats(parts: Sequence[PipelineStats]) -> PipelineStats:
    """Runs that took place at the same time, as one; ages belong to each, and are left out."""
    frames, seconds = sum(p.frames for p in parts), max((p.seconds for p in parts), default=0.0)
    stages = {name for part in parts for name in part.stage_ms}
    return PipelineStats(
        frames=frames,
        seconds=seconds,
        fps=frames / seconds if seconds else 0.0,
        dropped=sum(part.dropped for part in parts),
        stage_ms={
            name: sum(p.frames * p.stage_ms.get(name, 0.0) for p in parts) / max(frames, 1)
            for name in sorted(stages)
        },
        stopped=any(part.stopped for part in parts),
    )


def share_cores(
    *, live: bool, frames: int | None = None, cores: int | None = None
) -> tuple[int, int]:
    """How many frames to detect at once, and with how many threads each: (workers, threads).

    Live, one frame at a time gets all cores, for the lowest delay. A file wants throughput, and
    cores that each do a frame of their own never wait for one another.
    """
    cores = cores or os.cpu_count() or 1
    if live or frames == 1:
        return 1, cores
    workers = min(cores, MOST_WORKERS)
    return workers, max(cores // workers, 1)


def run_pipeline(
    source: Source,
    detector: Finder,
    consume: Consume,
    *,
    workers: int = 1,
    limit: int | None = None,
    stop: Stop | None = None,
    turns: Turns | None = None,
    told: Callable[[PipelineStats], None] | None = None,
) -> PipelineStats:
    """Run a detector over a source; the stages of a plain `Detector` are timed one by one.

    source: read and closed by a thread of its own. Live, whoever is late gets the newest frame;
    otherwise all frames are used, in order.
    consume: called in this thread with each frame and its detections. It may draw on the image.
    workers: frames detected at the same time. limit: end after so many frames.
    stop: the wish to end, for a caller that handles signals itself; Ctrl-C and SIGTERM when None.
    turns: permits to detect, shared with other runs that use the same detector at the same time.
    told: called in this thread about once a second with what the run did until then.

    A stop ends the run after the frame at hand, as `consume` may; where the source has an end of
    its own, or no frame was used, it is raised as KeyboardInterrupt. Whatever a stage raises is
    raised here, after the frames before it were used; the threads have ended by then (save one that
    hangs in a driver: it is left behind after a few seconds).
    """
    run = _Run(source, detector, workers, limit, turns or Turns(workers))
    if stop is not None:
        return run.drive(consume, stop, told)
    stop = Stop()
    with asked_by_signals(stop):
        return run.drive(consume, stop, told)


@dataclass(slots=True)
class _Clock:
    """Seconds spent in each stage, added up by several threads."""

    seconds: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stage: str, since: float) -> float:
        """Count the time since a moment for a stage; return the present moment."""
        now = time.perf_counter()
        with self.lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now

    def per_frame(self, frames: int) -> dict[str, float]:
        """Mean milliseconds a frame in each stage."""
        with self.lock:
            return {name: 1000 * s / max(frames, 1) for name, s in self.seconds.items()}


class _Run:
    def __init__(
        self, source: Source, detector: Finder, workers: int, limit: int | None, turns: Turns
    ) -> None:
        self._live = source.info.live
        self._source, self._detector, self._limit = source, detector, limit
        self._workers, self._turns = workers, turns
        self._free = threading.Semaphore(workers)
        room = 1 if self._live else workers + 2
        self._inbox = Channel[Frame](room, newest=self._live)
        self._outbox = Channel[Future[tuple[Frame, Detections]]](room)
        self._clock, self._ages = _Clock(), Ages()
        self._frames = self._missed = 0
        self._start = time.perf_counter()

    def drive(
        self, consume: Consume, stop: Stop, told: Callable[[PipelineStats], None] | None
    ) -> PipelineStats:
        reader = threading.Thread(target=self._read, name="detect-tl reader", daemon=True)
        with ThreadPoolExecutor(self._workers, "detect-tl worker") as pool:
            sender = threading.Thread(target=self._dispatch, args=(pool,), name="detect-tl sender")
            reader.start()
            sender.start()
            try:
                with stop.heard_by(self._end):
                    enough = self._use(consume, told)
            finally:
                self._end()
                sender.join()
                # A camera driver may hang for good; nothing that follows needs this thread.
                reader.join(_LET_GO_SECONDS)
        # A camera has no other end; without a single frame there is nothing to keep.
        endless = self._live or self._source.info.endless
        if stop.wanted and not (endless and self._frames):
            raise KeyboardInterrupt
        return self._stats(stopped=enough or stop.wanted)

    def _end(self) -> None:
        """Free every thread from what it waits for."""
        self._source.stop()
        self._inbox.cancel()
        self._outbox.cancel()
        self._free.release()

    def _use(self, consume: Consume, told: Callable[[PipelineStats], None] | None) -> bool:
        """The caller's thread; return whether the consumer had enough."""
        spoke = time.monotonic()
        for future in self._outbox:
            frame, found = future.result()
            if self._live:
                self._free.release()
            moment = time.perf_counter()
            more = consume(frame, found)
            self._clock.add("use", moment)
            now = time.monotonic()
            self._ages.add(now - frame.captured)
            self._frames += 1
            if told and now - spoke >= _TELL_SECONDS:
                told(self._stats())
                spoke = now
            if not more:
                return True
        return False

    def _stats(self, *, stopped: bool = False) -> PipelineStats:
        seconds, frames = time.perf_counter() - self._start, self._frames
        return PipelineStats(
            frames=frames,
            seconds=seconds,
            fps=frames / seconds if seconds else 0.0,
            dropped=self._inbox.dropped + self._missed,
            stage_ms=self._clock.per_frame(frames),
            age_ms=self._ages.as_ms() if self._live and frames else None,
            stopped=stopped,
        )

    def _read(self) -> None:
        """The reader's thread: everything that touches the source happens here."""
        error: BaseException | None = None
        try:
            frames = iter(self._source)
            count, last = 0, -1
            while self._limit is None or count < self._limit:
                moment = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                self._clock.add("read", moment)
                self._missed += frame.index - last - 1
                last = frame.index
                if not self._inbox.put(frame):
                    break
                count += 1
        except BaseException as caught:  # noqa: BLE001 - handed over, and raised by the consumer
            error = caught
        try:
            self._source.close()
        except BaseException as caught:  # noqa: BLE001 - the same
            error = error or caught
        self._inbox.close(error)

    def _dispatch(self, pool: ThreadPoolExecutor) -> None:
        """The sender's thread: a frame is only taken when a worker is free, so it is the newest."""
        error: BaseException | None = None
        try:
            while True:
                self._free.acquire()
                # Only who has a frame takes a turn, and only who has the turn takes the frame.
                self._inbox.wait()
                self._turns.take()
                if not self._outbox.put(self._submit(pool)):
                    break
        except EndedError:
            pass
        except BaseException as caught:  # noqa: BLE001 - handed over, and raised by the consumer
            error = caught
        self._outbox.close(error)

    def _submit(self, pool: ThreadPoolExecutor) -> Future[tuple[Frame, Detections]]:
        """Detect on the next frame; the turn is given back when that is done, or cannot begin."""
        try:
            future = pool.submit(self._detect, self._inbox.get())
        except BaseException:
            self._turns.give()
            raise
        future.add_done_callback(lambda _: self._turns.give())
        if not self._live:
            future.add_done_callback(lambda _: self._free.release())
        return future

    def _detect(self, frame: Frame) -> tuple[Frame, Detections]:
        moment = time.perf_counter()
        detector = self._detector
        if not isinstance(detector, Detector):
            (found,) = detector([frame.image])
            self._clock.add("detect", moment)
            return frame, found
        batch, letterboxes = detector.prepare([frame.image])
        moment = self._clock.add("prepare", moment)
        outputs = detector.backend.infer(batch)
        moment = self._clock.add("infer", moment)
        (found,) = detector.read(outputs, letterboxes)
        self._clock.add("postprocess", moment)
        return frame, found
