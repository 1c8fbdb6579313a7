"""How fast each engine runs a model on this machine, one engine after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DetectTLError, MachineError
from detect_tl.core.images import Image
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.runtime.backends import load_backend, readers
from detect_tl.runtime.choose import AGREEMENT_CONFIDENCE, disagreement, timed
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.pipeline import share_cores

_CHILD = "from detect_tl.runtime.benchmark import measure_for_parent; measure_for_parent()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An engine, how many pictures it has at once, and how many cores each of them."""

    backend: str
    at_once: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What one setting does on one picture, from pixels to detections.

    load_seconds: from importing the engine to the first result. p50_ms, p95_ms: of one picture.
    fps: pictures a second, all together. memory_mb: that the process grew by.
    against: why it cannot be used, or that it answers otherwise than the first engine; else empty.
    The figures are None where it cannot run.
    """

    setting: Setting
    load_seconds: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    fps: float | None = None
    memory_mb: float | None = None
    against: str = ""

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {**values.pop("setting"), **values}


def benchmark(
    path: Path,
    image: Image,
    *,
    backends: Sequence[str] | None = None,
    imgsz: tuple[int, int] | None = None,
    rect: bool | None = None,
    device: str = "auto",
    seconds: float = 3.0,
    progress: Progress | None = None,
) -> list[Speed]:
    """Time engines on one picture, each in a process of its own, so that none disturbs another.

    backends: names; None: all that read the file. Each is timed with all cores for one picture, for
    the shortest delay, and with a picture for each core, for the most pictures a second.
    Raises UsageError for a kind of file that no engine reads.
    """
    cores = os.cpu_count() or 1
    shares = dict.fromkeys((share_cores(live=True, cores=cores), share_cores(live=False)))
    settings = [
        Setting(backend=name, at_once=at_once, threads=threads)
        for name in backends or readers(path)
        for at_once, threads in shares
    ]
    found: list[Speed] = []
    right: Detections | None = None
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(scratch, "picture.npy")
        np.save(picture, image)
        job = {
            "path": str(path.absolute()),
            "picture": str(picture),
            "imgsz": imgsz,
            "rect": rect,
            "device": device,
            "seconds": seconds,
        }
        for setting in track(progress or Silent(), settings, "Benchmark"):
            speed, seen = _apart({**job, **asdict(setting)}, setting)
            if right is None:
                right = seen
            elif seen is not None:
                speed = replace(speed, against=disagreement(right, seen))
            found.append(speed)
    return found


def _apart(job: Mapping[str, Any], setting: Setting) -> tuple[Speed, Detections | None]:
    """Measure in another process."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MachineError(
            f"measuring {setting.backend} broke off with exit code {done.returncode}: {last}",
            hint="Leave it out: name the others with --backend.",
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    if "refused" in answer:
        return Speed(setting=setting, against=answer["refused"]), None
    seen = Detections(
        np.asarray(answer.pop("xyxy"), np.float32).reshape(-1, 4),
        np.asarray(answer.pop("score"), np.float32),
        np.asarray(answer.pop("class_id"), np.int64),
    )
    return Speed(setting=setting, **answer), seen


def measure_for_parent() -> None:
    """What the other process does: a job comes in as JSON, and the figures go out as JSON."""
    job = json.load(sys.stdin)
    try:
        answer = _measure(job)
    except DetectTLError as error:
        answer = {"refused": error.message}
    sys.stdout.write(json.dumps(answer) + "\n")


def _measure(job: Mapping[str, Any]) -> dict[str, Any]:
    import psutil

    image = np.load(job["picture"])
    process = psutil.Process()
    before, began = process.memory_info().rss, time.perf_counter()
    backend = load_backend(
        Path(job["path"]),
        job["backend"],
        threads=job["threads"],
        calls=job["at_once"],
        device=job["device"],
    )
    imgsz = tuple(job["imgsz"]) if job["imgsz"] else None
    detector = Detector(backend, conf=AGREEMENT_CONFIDENCE, imgsz=imgsz, rect=job["rect"])
    (found,) = detector([image])
    loaded = time.perf_counter() - began
    with ThreadPoolExecutor(job["at_once"]) as pool:
        runs = [pool.submit(timed, detector, image, job["seconds"]) for _ in range(job["at_once"])]
        times = [run.result() for run in runs]
    together = np.concatenate(times)
    p50, p95 = np.percentile(together, [50, 95])
    return {
        "load_seconds": round(loaded, 3),
        "p50_ms": round(1000 * float(p50), 2),
        "p95_ms": round(1000 * float(p95), 2),
        "fps": round(sum(len(each) / sum(each) for each in times), 2),
        "memory_mb": round((process.memory_info().rss - before) / 1e6, 1),
        "xyxy": found.xyxy.tolist(),
        "score": found.score.tolist(),
        "class_id": found.class_id.tolist(),
    }
