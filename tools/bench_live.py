"""How old the frames of a live source are when their results are out, with a model that is slow.

    python tools/bench_live.py [--minutes 10] [--fps 30] [--model-ms 120] [--json]

A simulated camera gives frames at a steady rate, whoever takes them, and a model sleeps as long as
a slow one computes. The bound: 95% of the frames are younger than two frame times and one inference
when they are used, and memory does not grow. It takes no processor to speak of, so that another
program on the machine disturbs it little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np
import psutil

from detect_tl.core.detections import Detections
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.frames import Frame, SourceInfo
from detect_tl.runtime.pipeline import PipelineStats, run_pipeline

SIZE = Size(1280, 720)
SIDE = 64
GROWTH_MIB = 16
"""Memory may move by so much between the middle of a run and its end."""


class Camera:
    """Frames at a steady rate for some seconds, stamped when they are due."""

    def __init__(self, fps: float, seconds: float) -> None:
        self.info = SourceInfo(
            kind="camera",
            name="simulated camera",
            size=SIZE,
            fps=Fraction(fps).limit_denominator(1001),
            live=True,
            endless=True,
        )
        self.findings: list[Finding] = []
        self._fps, self._count = fps, round(fps * seconds)

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in range(self._count):
            due = start + index / self._fps
            time.sleep(max(due - time.monotonic(), 0))
            image = np.zeros((SIZE.height, SIZE.width, 3), np.uint8)
            yield Frame(image, index, index / self._fps, "simulated", captured=due)

    def stop(self) -> None:
        """Every frame comes within a frame time."""

    def close(self) -> None:
        """Nothing is open."""


class Sleeper:
    """A model that needs so many seconds for everything and finds nothing."""

    def __init__(self, seconds: float) -> None:
        self.spec = ModelSpec(names=("thing",), imgsz=(SIDE, SIDE), stride=8)
        self._seconds = seconds

    def infer(self, batch: np.ndarray) -> list[np.ndarray]:
        time.sleep(self._seconds)
        return [np.zeros((len(batch), 5, 1), np.float32)]

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Result:
    """What a run gave; ages in milliseconds, memory in MiB at its start, middle and end."""

    minutes: float
    given: int
    used: int
    dropped: int
    age_p50: float
    age_p95: float
    age_max: float
    bound: float
    memory: tuple[float, float, float]

    @property
    def holds(self) -> bool:
        return self.age_p95 < self.bound and self.memory[2] - self.memory[1] < GROWTH_MIB


def measure(minutes: float, fps: float, model_ms: float) -> Result:
    process = psutil.Process()
    memory: list[float] = []
    said = 0

    def told(stats: PipelineStats) -> None:
        nonlocal said
        memory.append(process.memory_info().rss / 2**20)
        if stats.seconds // 60 > said:
            said += 1
            print(f"{said} min: {stats.pace}, {memory[-1]:.1f} MiB", file=sys.stderr)

    def use(frame: Frame, found: Detections) -> bool:
        del frame, found
        return True

    detector = Detector(Sleeper(model_ms / 1000))
    stats = run_pipeline(Camera(fps, 60 * minutes), detector, use, told=told)
    age = stats.age_ms or {}
    return Result(
        minutes=minutes,
        given=stats.frames + stats.dropped,
        used=stats.frames,
        dropped=stats.dropped,
        age_p50=round(age["p50"], 1),
        age_p95=round(age["p95"], 1),
        age_max=round(age["max"], 1),
        bound=round(2000 / fps + model_ms, 1),
        memory=(memory[0], memory[len(memory) // 2], memory[-1]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--model-ms", type=float, default=120, help="one inference")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    result = measure(args.minutes, args.fps, args.model_ms)
    if args.json:
        print(json.dumps(asdict(result) | {"holds": result.holds}, indent=2))
    else:
        start, middle, end = result.memory
        print(f"{result.given} frames given, {result.used} used, {result.dropped} dropped")
        print(f"age p50 {result.age_p50} ms, p95 {result.age_p95} ms, max {result.age_max} ms")
        print(f"bound for p95: {result.bound} ms")
        print(f"memory: {start:.1f} MiB at the start, {middle:.1f} halfway, {end:.1f} at the end")
        print("holds" if result.holds else "DOES NOT HOLD")
    sys.exit(0 if result.holds else 1)


if __name__ == "__main__":
    main()
