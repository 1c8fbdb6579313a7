"""Frames per second of `detect-tl predict` beside `yolo predict`, with the same ONNX file.

    python tools/bench_runtime.py [--repeats 3] [--json]
    python tools/bench_runtime.py --model yolo11n.onnx --dynamic free.onnx --video people.mp4

--model is an export of a fixed square; --dynamic one of the same weights whose sizes are free,
which runs a 16:9 video at 384x640. Without them both are made of --weights; what is not named is
taken from the folder that DETECT_TL_SHARED names. Every run is a process of its own, and the sides
take turns, so that a machine that gets slower or busier is slower for all: trust the ratios, not
the single numbers. Ours counts everything from the call to the last file on disk, loading the model
included; the peer's model is loaded and warm. The engines are tried once before, so that `--backend
auto` knows the fastest: a user meets that second once for a model.

"bare loop" is the engine that ours took, with as many calls at once and cores each, on one frame
over and over: no reading, no preparing, no suppression.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

AUTO, SAVING = "auto", ", saving video"
SIDES = (
    "peer",
    f"peer{SAVING}",
    "ours",
    f"ours{SAVING}",
    "ours, onnxruntime",
    "ours, dynamic",
    "bare loop",
)
RATIOS = (
    ("ours", "peer"),
    (f"ours{SAVING}", f"peer{SAVING}"),
    ("ours, onnxruntime", "peer"),
    ("ours, dynamic", "peer"),
    ("ours", "bare loop"),
)


@dataclass(frozen=True)
class Run:
    """One measured run: frames delivered, wall-clock seconds, processor seconds, engine."""

    frames: int
    seconds: float
    cpu_seconds: float
    backend: str

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


Work = Callable[[], tuple[int, str]]
"""Returns the number of frames, and the engine that ran them."""


def ours(model: Path, video: Path, out: Path | None, backend: str) -> Work:
    from detect_tl import api

    def run() -> tuple[int, str]:
        result = api.predict(model, video, out=out, backend=backend)
        return result.frames, result.backend

    return run


def peer(model: Path, video: Path, out: Path | None) -> Work:
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

    def run() -> tuple[int, str]:
        return sum(1 for _ in yolo.predict(str(video), stream=True, **settings)), "onnxruntime"

    return run


def bare_loop(model: Path, video: Path, backend: str) -> Work:
    """The engine alone, on the video's first frame."""
    from detect_tl.runtime.backends import load_backend
    from detect_tl.runtime.detector import Detector
    from detect_tl.runtime.pipeline import share_cores
    from detect_tl.runtime.sources import open_source

    source = open_source(video)
    frame = next(iter(source))
    frames = source.info.frame_count or 300
    source.close()
    workers, threads = share_cores(live=False, frames=frames)
    engine = load_backend(model, backend, threads=threads, calls=workers)
    batch, _ = Detector(engine).prepare([frame.image])
    engine.infer(batch)

    def loop(count: int) -> None:
        for _ in range(count):
            engine.infer(batch)

    def run() -> tuple[int, str]:
        shares = [frames // workers + (k < frames % workers) for k in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(loop, shares))
        return frames, backend

    return run


def measure(side: str, model: Path, video: Path, backend: str) -> Run:
    """Run one side in this process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out") if SAVING in side else None
        if side.startswith("peer"):
            work = peer(model, video, out)
        elif side == "bare loop":
            work = bare_loop(model, video, backend)
        else:
            work = ours(model, video, out, backend)
        start, cpu = time.perf_counter(), time.process_time()
        frames, ran = work()
        return Run(frames, time.perf_counter() - start, time.process_time() - cpu, ran)


def measure_apart(side: str, model: Path, video: Path, backend: str) -> Run:
    """Run one side in a process of its own."""
    options = ["--model", model, "--video", video, "--side", side, "--backend", backend]
    command = [sys.executable, __file__, *map(str, options)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def take_turns(arguments: argparse.Namespace, video: Path) -> dict[str, list[Run]]:
    """All sides on one video, again and again."""
    sides = [side for side in SIDES if arguments.dynamic or side != "ours, dynamic"]
    files = {
        side: arguments.dynamic if side == "ours, dynamic" else arguments.model for side in sides
    }
    chosen = {}
    for model in filter(None, (arguments.model, arguments.dynamic)):
        chosen[model] = measure_apart("ours", model, video, AUTO).backend
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for repeat in range(arguments.repeats):
        # Who goes first changes, so that nobody always gets the cooler machine.
        for side in sides if repeat % 2 == 0 else sides[::-1]:
            backend = "onnxruntime" if side.endswith("onnxruntime") else AUTO
            if side == "bare loop":
                backend = chosen[files[side]]
            runs[side].append(measure_apart(side, files[side], video, backend))
            print(f"{video.name}, {side}: {runs[side][-1].fps:.1f} frames/s", file=sys.stderr)
    return runs


def summary(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Medians, and the medians of the ratios of neighbouring runs."""
    table: dict[str, Any] = {
        side: {
            "backend": done[0].backend,
            "frames": sorted({run.frames for run in done}),
            "fps": round(statistics.median(run.fps for run in done), 1),
            "fps_all": [round(run.fps, 1) for run in done],
            "cpu_seconds": round(statistics.median(run.cpu_seconds for run in done), 1),
        }
        for side, done in runs.items()
    }
    ratios = {
        f"{first} / {second}": ratio(runs[first], runs[second])
        for first, second in RATIOS
        if first in runs
    }
    return {**table, "ratios": ratios}


def ratio(first: Sequence[Run], second: Sequence[Run]) -> float:
    pairs = zip(first, second, strict=True)
    return float(f"{statistics.median(a.fps / b.fps for a, b in pairs):.3g}")


def export_both(weights: Path, folder: Path) -> tuple[Path, Path]:
    """The weights as a file of a fixed square and as one of free sizes."""
    from detect_tl import api

    files = folder / "static.onnx", folder / "dynamic.onnx"
    for path in files:
        api.export(weights, path, dynamic=path.stem == "dynamic", imgsz=640)
    return files


def main() -> None:
    shared = Path(os.environ.get("DETECT_TL_SHARED") or ".")
    usual = "video_people/people.mp4", "video_intel/bottle-detection.mp4"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=shared / "weights" / "yolo11n.pt")
    parser.add_argument("--model", type=Path, help="an ONNX file of a fixed square")
    parser.add_argument("--dynamic", type=Path, help="the same weights with free sizes")
    parser.add_argument("--video", type=Path, action="append")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--side", choices=SIDES, help="run one side only, and print its figures")
    parser.add_argument("--backend", default=AUTO, help="with --side")
    args = parser.parse_args()
    args.video = args.video or [shared / "data" / name for name in usual]
    if args.side:
        print(json.dumps(asdict(measure(args.side, args.model, args.video[0], args.backend))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            args.model, args.dynamic = export_both(args.weights, Path(folder))
        tables = {video.name: summary(take_turns(args, video)) for video in args.video}
    if args.json:
        print(json.dumps(tables, indent=2))
        return
    for name, table in tables.items():
        print(name)
        for side in filter(table.get, SIDES):
            row = table[side]
            cpu = f"{row['cpu_seconds']:6.1f} s of CPU"
            print(f"  {side:36} {row['fps']:7.1f} frames/s  {cpu}  {row['backend']}")
        for pair, value in table["ratios"].items():
            print(f"  {pair:36} {value:7.3g}")


if __name__ == "__main__":
    main()
