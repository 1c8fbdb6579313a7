"""Frames per second of `detect-tl predict` beside `yolo predict`, with the same ONNX file.

    python tools/bench_runtime.py --model yolo11n.onnx --video people.mp4 [--repeats 3] [--json]

Every run is a process of its own, and the two sides take turns, so that a machine that gets slower
or busier is slower for both: trust the ratios, not the single numbers. Ours counts everything from
the call to the last file on disk, loading the model included; the peer's model is loaded and warm.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One measured run: frames delivered, wall-clock seconds, processor seconds."""

    frames: int
    seconds: float
    cpu_seconds: float

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


def ours(model: Path, video: Path, out: Path | None) -> int:
    from detect_tl.runtime.predict import predict

    return predict(model, video, out=out).frames


def peer(model: Path, video: Path, out: Path | None) -> Callable[[], int]:
    """Load and warm the peer up; the function returned is what is timed."""
    import numpy as np
    import onnx
    from ultralytics import YOLO

    meta = {p.key: p.value for p in onnx.load(model, load_external_data=False).metadata_props}
    imgsz = json.loads(meta["imgsz"])
    yolo = YOLO(model, task=meta["task"])
    settings = {"imgsz": imgsz, "rect": False, "verbose": False}
    yolo.predict(np.zeros((*imgsz, 3), np.uint8), **settings)
    if out is not None:
        settings |= {"save": True, "project": str(out.parent), "name": out.name}
        yolo.predictor = None  # the folder for results is chosen when it is made

    def run() -> int:
        return sum(1 for _ in yolo.predict(str(video), stream=True, **settings))

    return run


SIDES = ("ours", "peer", "ours, saving video", "peer, saving video")


def measure(side: str, model: Path, video: Path) -> Run:
    """Run one side in this process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out") if "saving" in side else None
        if side.startswith("peer"):
            work = peer(model, video, out)
        else:

            def work() -> int:
                return ours(model, video, out)

        start, cpu = time.perf_counter(), time.process_time()
        frames = work()
        return Run(frames, time.perf_counter() - start, time.process_time() - cpu)


def measure_apart(side: str, model: Path, video: Path) -> Run:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--model", model, "--video", video, "--side", side]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def summary(runs: dict[str, list[Run]]) -> dict[str, object]:
    """Medians, and the median of the ratios of neighbouring runs."""
    table: dict[str, object] = {
        side: {
            "frames": sorted({run.frames for run in done}),
            "fps": round(statistics.median(run.fps for run in done), 1),
            "fps_all": [round(run.fps, 1) for run in done],
            "cpu_seconds": round(statistics.median(run.cpu_seconds for run in done), 1),
        }
        for side, done in runs.items()
    }
    for kind in ("", ", saving video"):
        pairs = zip(runs[f"ours{kind}"], runs[f"peer{kind}"], strict=True)
        ratio = statistics.median(a.fps / b.fps for a, b in pairs)
        table[f"ratio{kind}"] = round(ratio, 2)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="an ONNX file")
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--side", choices=SIDES, help="run one side only, and print its figures")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(asdict(measure(args.side, args.model, args.video))))
        return
    runs: dict[str, list[Run]] = {side: [] for side in SIDES}
    for repeat in range(args.repeats):
        # Who goes first changes, so that neither always gets the cooler machine.
        for side in SIDES if repeat % 2 == 0 else SIDES[::-1]:
            runs[side].append(measure_apart(side, args.model, args.video))
            print(f"{side}: {runs[side][-1].fps:.1f} frames/s", file=sys.stderr)
    table = summary(runs)
    if args.json:
        print(json.dumps(table, indent=2))
        return
    for name, value in table.items():
        if isinstance(value, dict):
            print(f"{name:20} {value['fps']:7.1f} frames/s  {value['cpu_seconds']:6.1f} s of CPU")
        else:
            print(f"{name:20} {value:7.2f}")


if __name__ == "__main__":
    main()
