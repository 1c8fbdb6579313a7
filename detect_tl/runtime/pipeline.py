"""Reading, detecting and using the results at the same time, each at its own pace.

    reader thread ──inbox──▶ dispatcher ──▶ worker threads ──outbox──▶ the caller's thread

Frames come out in the order in which they went in. Everything in between is bounded. An error in
any stage ends all of them and is raised to the caller.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from detect_tl.core.detections import Detections
from detect_tl.core.images import Image
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.frames import Frame, Source
from detect_tl.runtime.mailbox import Channel

Consume = Callable[[Frame, Detections], bool]
"""Uses one result; returns False when nobody wants any more."""


class Finder(Protocol):
    """Finds objects in pictures, as a `Detector` does; from several threads at once."""

    def __call__(self, images: Sequence[Image]) -> list[Detections]: ...


MOST_WORKERS = 8
_LET_GO_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStats:
    """What a run did and where its time went.

    seconds: from the first frame asked for to the last one used.
    fps: frames used per second. dropped: live frames that a newer one replaced.
    stage_ms: mean milliseconds a frame in each stage; stages overlap, so they add up to more.
    stopped: whether the consumer ended the run before the source did.
    """

    frames: int
    seconds: float
    fps: float
    dropped: int
    stage_ms: dict[str, float] = field(default_factory=dict)
    stopped: bool = False


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
) -> PipelineStats:
    """Run a detector over a source; the stages of a plain `Detector` are timed one by one.

    source: read and closed by a thread of its own. Live, whoever is late gets the newest frame;
    otherwise all frames are used, in order.
    consume: called in this thread with each frame and its detections. It may draw on the image.
    workers: frames detected at the same time. limit: end after so many frames.

    Ctrl-C ends a live run as `consume` does, and is raised as KeyboardInterrupt otherwise.
    Whatever a stage raises is raised here, after the frames before it were used; the threads have
    ended by then (save one that hangs in a driver: it is left behind after a few seconds).
    """
    return _Run(source, detector, workers, limit).drive(consume)


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


class _PatientInterrupt:
    """Ctrl-C while a live result is being used waits until that is done, so that no frame is half
    written. Everywhere else it comes as KeyboardInterrupt, at once."""

    def __init__(self, live: bool) -> None:
        main = threading.current_thread() is threading.main_thread()
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._active = live and main and usual
        self._busy = False
        self.wanted = False

    def __enter__(self) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._asked)

    def __exit__(self, *_: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def later(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _asked(self, *_: object) -> None:
        if not self._busy:
            raise KeyboardInterrupt
        self.wanted = True


class _Run:
    def __init__(self, source: Source, detector: Finder, workers: int, limit: int | None) -> None:
        live = source.info.live
        self._source, self._detector, self._limit = source, detector, limit
        self._workers = workers
        self._inbox = Channel[Frame](1 if live else workers + 2, newest=live)
        self._outbox = Channel[Future[tuple[Frame, Detections]]](1 if live else workers + 2)
        self._clock = _Clock()

    def drive(self, consume: Consume) -> PipelineStats:
        start = time.perf_counter()
        frames, stopped = 0, False
        reader = threading.Thread(target=self._read, name="detect-tl reader", daemon=True)
        with ThreadPoolExecutor(self._workers, "detect-tl worker") as pool:
            sender = threading.Thread(target=self._dispatch, args=(pool,), name="detect-tl sender")
            reader.start()
            sender.start()
            interrupt = _PatientInterrupt(self._source.info.live)
            try:
                with interrupt:
                    for future in self._outbox:
                        frame, found = future.result()
                        moment = time.perf_counter()
                        with interrupt.later():
                            more = consume(frame, found)
                        self._clock.add("use", moment)
                        frames += 1
                        stopped = not more or interrupt.wanted
                        if stopped:
                            break
            except KeyboardInterrupt:
                # A camera has no other end; without a single frame there is nothing to keep.
                stopped = self._source.info.live and frames > 0
                if not stopped:
                    raise
            finally:
                self._inbox.cancel()
                self._outbox.cancel()
                sender.join()
                # A camera driver may hang for good; nothing that follows needs this thread.
                reader.join(_LET_GO_SECONDS)
        seconds = time.perf_counter() - start
        per_frame = {name: 1000 * s / max(frames, 1) for name, s in self._clock.seconds.items()}
        return PipelineStats(
            frames=frames,
            seconds=seconds,
            fps=frames / seconds if seconds else 0.0,
            dropped=self._inbox.dropped,
            stage_ms=per_frame,
            stopped=stopped,
        )

    def _read(self) -> None:
        """The reader's thread: everything that touches the source happens here."""
        error: BaseException | None = None
        try:
            frames = iter(self._source)
            count = 0
            while self._limit is None or count < self._limit:
                moment = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                self._clock.add("read", moment)
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
        free = threading.Semaphore(self._workers)
        error: BaseException | None = None
        try:
            while True:
                free.acquire()
                future = pool.submit(self._detect, self._inbox.get())
                future.add_done_callback(lambda _: free.release())
                if not self._outbox.put(future):
                    break
        except EOFError:
            pass
        except BaseException as caught:  # noqa: BLE001 - handed over, and raised by the consumer
            error = caught
        self._outbox.close(error)

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
