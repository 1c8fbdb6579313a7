from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from detect_tl.core.detections import Detections
from detect_tl.core.findings import Finding
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.frames import Frame, SourceInfo
from detect_tl.runtime.pipeline import PipelineStats, run_pipeline, share_cores
from detect_tl.runtime.stopping import Stop


class Numbers:
    """A source whose frames carry their index as brightness."""

    def __init__(
        self,
        total: int | None,
        *,
        live: bool = False,
        pause: float = 0.0,
        error: Exception | None = None,
    ) -> None:
        self.info = SourceInfo(kind="camera" if live else "video", name="numbers", live=live)
        self.findings: list[Finding] = []
        self.given = 0
        self.closed = False
        self._total, self._pause, self._error = total, pause, error

    def __iter__(self) -> Iterator[Frame]:
        for index in count():
            if index == self._total:
                break
            time.sleep(self._pause)
            self.given += 1
            yield Frame(np.full((8, 8, 3), index % 256, np.uint8), index, index / 10, "n")
        if self._error:
            raise self._error

    def stop(self) -> None:
        """It never waits for long."""

    def close(self) -> None:
        self.closed = True


class Reader:
    """A backend that answers with one box whose height is the brightness of the image.

    It fails at the image of brightness `fail_at`, or at the first that it sees.
    """

    def __init__(self, pause: float = 0.0, fail_at: int | Literal["first"] | None = None) -> None:
        self.spec = ModelSpec(names=("n",), imgsz=(8, 8), stride=8)
        self._pause, self._fail_at = pause, fail_at
        self._lock = threading.Lock()
        self.running = self.most = 0

    def infer(self, batch: np.ndarray) -> list[np.ndarray]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        value = round(float(batch[0, 0, 0, 0]) * 255)
        # Earlier frames take longer, so that they would overtake one another.
        time.sleep(self._pause * (2 if value % 2 == 0 else 1))
        with self._lock:
            self.running -= 1
        if self._fail_at in ("first", value):
            raise RuntimeError(f"engine broke at {value}")
        row = np.array([4, 4, 8, 8, value / 256 + 1e-3], np.float32)
        return [row.reshape(1, 5, 1)]

    def close(self) -> None:
        """Nothing to free."""


def detector_of(backend: Reader) -> Detector:
    return Detector(backend, conf=0)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = {t for t in threading.enumerate() if t.name.startswith("detect-tl")} - before
    assert not left


class Used:
    """A consumer that checks that each result belongs to its frame."""

    def __init__(self, pause: float = 0.0, stop_at: int | None = None) -> None:
        self.indices: list[int] = []
        self._pause, self._stop_at = pause, stop_at

    def __call__(self, frame: Frame, found: Detections) -> bool:
        assert found.score[0] == pytest.approx(frame.index % 256 / 256 + 1e-3, abs=1e-5)
        time.sleep(self._pause)
        self.indices.append(frame.index)
        return frame.index != self._stop_at


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("slow", ["reader", "engine", "consumer", "none"])
def test_a_file_gives_every_frame_in_order(workers: int, slow: str) -> None:
    pause = {name: 0.003 * (name == slow) for name in ("reader", "engine", "consumer")}
    source, engine = Numbers(40, pause=pause["reader"]), Reader(pause["engine"])
    used = Used(pause["consumer"])
    stats = run_pipeline(source, detector_of(engine), used, workers=workers)
    assert used.indices == list(range(40))
    assert (stats.frames, stats.dropped, stats.stopped) == (40, 0, False)
    assert stats.fps == pytest.approx(40 / stats.seconds)
    assert set(stats.stage_ms) == {"read", "prepare", "infer", "postprocess", "use"}
    assert engine.most <= workers
    assert source.closed


def test_workers_really_work_at_the_same_time() -> None:
    engine = Reader(pause=0.02)
    run_pipeline(Numbers(12), detector_of(engine), Used(), workers=3)
    assert engine.most == 3


def test_memory_is_bounded_when_the_consumer_is_slow() -> None:
    source = Numbers(None)
    lead = []

    def consume(frame: Frame, _: Detections) -> bool:
        time.sleep(0.002)
        lead.append(source.given - frame.index)
        return frame.index < 60

    stats = run_pipeline(source, detector_of(Reader()), consume, workers=2)
    assert stats.stopped
    assert max(lead) <= 2 * (2 + 2) + 2 + 4


def test_live_frames_are_the_newest_ones() -> None:
    source = Numbers(150, live=True, pause=0.002)
    late = []

    def consume(frame: Frame, _: Detections) -> bool:
        late.append(source.given - 1 - frame.index)
        return True

    stats = run_pipeline(source, detector_of(Reader(pause=0.02)), consume)
    assert stats.dropped > 75
    assert stats.frames + stats.dropped == 150
    # About the frames of one detection (20 to 40 ms) and the one that waits; never a growing queue.
    assert np.median(late) < 45
    assert np.median(late[len(late) // 2 :]) < 1.5 * np.median(late[: len(late) // 2]) + 8


@pytest.mark.parametrize("live", [False, True])
def test_a_limit_and_a_consumer_that_has_enough(live: bool) -> None:
    source = Numbers(None, live=live, pause=0.001)
    stats = run_pipeline(source, detector_of(Reader()), Used(), limit=7)
    assert stats.frames + stats.dropped == 7
    assert not stats.stopped
    used = Used(stop_at=5)
    source = Numbers(None, pause=0.001)
    stats = run_pipeline(source, detector_of(Reader()), used, workers=2)
    assert used.indices == list(range(6))
    assert stats.stopped
    assert source.closed


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("live", [False, True])
class TestErrors:
    def test_of_the_source(self, live: bool, workers: int) -> None:
        source, used = Numbers(6, live=live, error=OSError("cable")), Used()
        with pytest.raises(OSError, match="cable"):
            run_pipeline(source, detector_of(Reader()), used, workers=workers)
        assert used.indices[-1] == 5  # what came before the error was used
        assert source.closed

    def test_of_the_source_that_looks_like_an_end(self, live: bool, workers: int) -> None:
        source = Numbers(6, live=live, error=EOFError("cut off"))
        with pytest.raises(EOFError, match="cut off"):
            run_pipeline(source, detector_of(Reader()), Used(), workers=workers)

    def test_of_the_engine(self, live: bool, workers: int) -> None:
        source, used = Numbers(None, live=live, pause=0.001), Used()
        # A live source may drop any frame, the third too, before the engine sees it.
        engine = Reader(fail_at="first" if live else 3)
        with pytest.raises(RuntimeError, match="engine broke"):
            run_pipeline(source, detector_of(engine), used, workers=workers)
        assert used.indices == ([] if live else [0, 1, 2])
        assert source.closed

    def test_of_the_consumer(self, live: bool, workers: int) -> None:
        source = Numbers(None, live=live, pause=0.001)

        def consume(frame: Frame, _: Detections) -> bool:
            raise ValueError(f"disk full at {frame.index}")

        with pytest.raises(ValueError, match="disk full"):
            run_pipeline(source, detector_of(Reader()), consume, workers=workers)
        assert source.closed


def interrupt_at(index: int, used: Used) -> object:
    def consume(frame: Frame, found: Detections) -> bool:
        if frame.index >= index and not interrupt.is_set():
            interrupt.set()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        return used(frame, found)

    interrupt = threading.Event()
    return consume


def test_ctrl_c_ends_a_live_run_after_the_frame_at_hand() -> None:
    source, used = Numbers(None, live=True, pause=0.002), Used()
    stats = run_pipeline(source, detector_of(Reader()), interrupt_at(4, used))
    assert stats.stopped
    assert stats.frames == len(used.indices)
    assert used.indices[-1] >= 4
    assert source.closed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_waiting_for_a_live_frame() -> None:
    source, used = Numbers(None, live=True, pause=0.05), Used()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    stats = run_pipeline(source, detector_of(Reader()), used)
    assert stats.stopped
    assert stats.frames > 0


def test_ctrl_c_on_a_file_is_raised() -> None:
    source, used = Numbers(None, pause=0.002), Used()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(source, detector_of(Reader()), interrupt_at(4, used), workers=2)
    assert source.closed


def test_a_stop_is_heard_from_any_thread() -> None:
    source, stop = Numbers(None, live=True, pause=0.002), Stop()
    threading.Timer(0.1, stop.ask).start()
    stats = run_pipeline(source, detector_of(Reader()), Used(), stop=stop)
    assert stats.stopped
    assert source.closed
    with pytest.raises(KeyboardInterrupt):  # a stop that came before
        run_pipeline(Numbers(None, live=True), detector_of(Reader()), Used(), stop=stop)


def test_who_presses_ctrl_c_twice_does_not_wait() -> None:
    source = Numbers(None, live=True, pause=0.002)
    reached = threading.Event()

    def hang(frame: Frame, found: Detections) -> bool:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        reached.set()
        return True

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(source, detector_of(Reader()), hang)
    assert not reached.is_set()
    assert source.closed


def test_what_is_told_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detect_tl.runtime.pipeline._TELL_SECONDS", 0.02)
    told: list[PipelineStats] = []
    stats = run_pipeline(
        Numbers(100, live=True, pause=0.001), detector_of(Reader()), Used(), told=told.append
    )
    assert 1 < len(told) < stats.frames
    assert [part.frames for part in told] == sorted({part.frames for part in told})
    assert all(part.age_ms is not None and "age p50" in part.pace for part in told)


def test_a_file_has_no_age() -> None:
    stats = run_pipeline(Numbers(5), detector_of(Reader()), Used())
    assert stats.age_ms is None
    assert "age" not in stats.pace


class TestFreshness:
    """Live, no frame is used that is older than the newest when it could be taken."""

    @pytest.mark.parametrize("slow", ["engine", "consumer", "both"])
    def test_no_frame_waits_behind_another(self, slow: str) -> None:
        detected: list[int] = []  # the newest frame that waited when each detection was done
        done: list[int] = []  # and when each result had been used
        used: list[int] = []

        class Watched(Numbers):
            """Knows which of its frames have been put where the next worker looks."""

            newest = -1

            def __iter__(self) -> Iterator[Frame]:
                for frame in super().__iter__():
                    yield frame
                    self.newest = frame.index

        class Watching(Reader):
            def infer(self, batch: np.ndarray) -> list[np.ndarray]:
                found = super().infer(batch)
                detected.append(source.newest)
                return found

        def consume(frame: Frame, found: Detections) -> bool:
            used.append(frame.index)
            time.sleep(0.03 if slow != "engine" else 0.0)
            done.append(source.newest)
            return True

        source = Watched(250, live=True, pause=0.003)
        engine = Watching(0.02 if slow != "consumer" else 0.0)
        stats = run_pipeline(source, detector_of(engine), consume)
        assert stats.frames + stats.dropped == 250
        assert stats.dropped > 50
        assert used == sorted(set(used))
        assert used[-1] == 249  # the last one is never dropped
        # A frame is taken when the detection before it is done, and the result before that used.
        assert all(frame >= newest for frame, newest in zip(used[1:], detected, strict=False))
        assert all(frame >= newest for frame, newest in zip(used[2:], done, strict=False))

    def test_age_is_bounded_by_two_frames_and_one_inference(self) -> None:
        pause, inference = 1 / 30, 0.12
        stats = run_pipeline(
            Numbers(75, live=True, pause=pause), detector_of(Reader(inference / 2)), Used()
        )
        assert stats.age_ms is not None
        # Twice that, for a machine that is busy; a queue would be seconds behind.
        assert stats.age_ms["p50"] < 2 * 1000 * (2 * pause + inference)


def test_a_reader_that_hangs_does_not_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detect_tl.runtime.pipeline._LET_GO_SECONDS", 0.1)
    release = threading.Event()

    class Stuck(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            release.wait(20)

    start = time.monotonic()
    used = Used(stop_at=2)
    run_pipeline(Stuck(3), detector_of(Reader()), used)
    assert time.monotonic() - start < 5
    release.set()
    (thread,) = [t for t in threading.enumerate() if t.name == "detect-tl reader"]
    thread.join(5)


@given(st.integers(1, 256), st.booleans(), st.none() | st.integers(1, 10_000))
def test_cores_are_shared_out(cores: int, live: bool, frames: int | None) -> None:
    workers, threads = share_cores(live=live, frames=frames, cores=cores)
    assert 1 <= workers <= 8
    assert threads >= 1
    assert workers * threads <= cores
    assert (workers == 1) == (live or frames == 1 or cores == 1)
