"""How fast annotations are converted, beside the peers, and with how much memory.

    python tools/bench_convert.py [--images 10000] [--scale 10000,30000,100000]
                                  [--peer-python PYTHON] [--repeats 3] [--json]

Made-up data sets of COCO's size and density are converted by each program in turn, in processes of
their own: COCO with outlines to YOLO by `convert_coco` of Ultralytics and by supervision; VOC to
COCO by datumaro and labelformat. Ours also checks the images, links them into place, mends, and
writes a report; the peers only write labels.

--scale: sizes at which ours runs alone, to see whether time and memory grow in proportion.
--cores: numbers of cores to try at the first size.
--peer-python: a Python in which datumaro, labelformat and supervision are installed; a peer that
is not installed is left out, and the table says so.

Seconds are of the conversion alone, without imports; the best of the repeats. Peak memory is the
sum over all processes of a program, with what they share counted once. Where files are made
slowly (a disk that was just filled or emptied), TMPDIR=/dev/shm measures programs and not disks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from convert_worlds import write_coco, write_voc

PEERS = Path(__file__).parent / "convert_peers.py"
LIMIT = 5.0  # times as fast as each peer of the first table, and as the faster one of the second


@dataclass(frozen=True)
class Timing:
    """One program on one data set. seconds: None when it is not installed or failed."""

    program: str
    images: int
    objects: int
    cores: int
    seconds: float | None
    peak_mb: float | None

    @property
    def per_second(self) -> float | None:
        return self.objects / self.seconds if self.seconds else None


class Bench:
    """Runs programs in a scratch folder."""

    def __init__(self, scratch: Path, peer_python: str, repeats: int) -> None:
        self.scratch = scratch
        self.peer_python = peer_python
        self.repeats = repeats

    def time(
        self, program: str, source: Path, images: int, objects: int, cores: int | None = None
    ) -> Timing:
        runs = [self._once(program, source, cores) for _ in range(self.repeats)]
        done = [run for run in runs if run is not None]
        seconds, peak = min(done) if done else (None, None)
        return Timing(program, images, objects, cores or _cores(), seconds, peak)

    def _once(self, program: str, source: Path, cores: int | None) -> tuple[float, float] | None:
        ours = program.startswith("ours") or program == "ultralytics"
        python = sys.executable if ours else self.peer_python
        # What the last run left is removed at the end of all: deleting files slows down those that
        # are being written, for seconds after.
        destination = Path(tempfile.mkdtemp(dir=self.scratch)) / "out"
        os.sync()
        pinned = ["taskset", "-c", f"0-{cores - 1}"] if cores else []
        command = [*pinned, python, str(PEERS), program, str(source), str(destination)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
        ) as process:
            watch = _Memory(process.pid)
            output, errors = process.communicate()
        peak = watch.stop()
        lines = [line for line in output.splitlines() if line.startswith("seconds ")]
        if process.returncode or not lines:
            print(f"{program} did not run: {errors.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
        return float(lines[-1].split()[1]), peak


class _Memory(threading.Thread):
    """Watches the memory of a process and its children, in MiB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._done = threading.Event()
        self._peak = 0.0
        self.start()

    def run(self) -> None:
        while not self._done.wait(0.1):
            self._peak = max(self._peak, self._now())

    def stop(self) -> float:
        self._done.set()
        self.join()
        return round(self._peak, 1)

    def _now(self) -> float:
        try:
            parent = psutil.Process(self._pid)
            return sum(_held(p) for p in [parent, *parent.children(recursive=True)]) / 2**20
        except psutil.Error:
            return 0.0


def _held(process: psutil.Process) -> int:
    """Memory of a process, what it shares counted in parts (Linux); else all that it sees."""
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


def _environment() -> dict[str, str]:
    """Without a setting that would have every program compile its modules again in each run."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def beside_peers(bench: Bench, images: int) -> list[list[Timing]]:
    """Three tables: COCO to YOLO, the same on few images, and VOC to COCO."""
    coco, voc = bench.scratch / "coco", bench.scratch / "voc"
    objects = write_coco(coco, images)
    table = [bench.time(name, coco, images, objects) for name in ("ours-yolo", "ultralytics")]
    coco = bench.scratch / "coco-few"
    few = min(images // 10, 2000)  # supervision holds every picture in memory: 10 GB for 3,000
    objects = write_coco(coco, few)
    small = [bench.time(name, coco, few, objects) for name in ("ours-yolo", "supervision")]
    objects = write_voc(voc, images)
    other = [
        bench.time(name, voc, images, objects) for name in ("ours-coco", "datumaro", "labelformat")
    ]
    return [table, small, other]


def at_scale(bench: Bench, sizes: list[int], cores: list[int]) -> list[Timing]:
    """Ours alone, at several sizes and numbers of cores."""
    found = []
    for place, images in enumerate(sizes):
        source = bench.scratch / f"coco-{images}"
        objects = write_coco(source, images)
        tried = cores if place == 0 else [max(cores)]
        found += [bench.time("ours-yolo", source, images, objects, count) for count in tried]
    return found


def show(title: str, timings: list[Timing]) -> None:
    heads = ("images", "objects", "cores", "s", "objects/s", "MiB", "ours is")
    print(f"\n{title}\n{'':14}" + "".join(f"{head:>11}" for head in heads))
    first = timings[0].seconds
    for t in timings:
        cells = [str(t.images), str(t.objects), str(t.cores)]
        if t.seconds:
            ratio = "" if t.program == timings[0].program or not first else t.seconds / first
            cells += [f"{t.seconds:.2f}", f"{t.per_second:,.0f}", f"{t.peak_mb:.0f}"]
            cells.append(f"{ratio:.1f}x" if ratio else "")
        else:
            cells.append("did not run")
        print(f"{t.program:14}" + "".join(f"{cell:>11}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--scale", default="10000,30000,100000", help="sizes; empty for none")
    parser.add_argument("--cores", default=",".join(str(k + 1) for k in range(min(_cores(), 4))))
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = [int(n) for n in options.scale.split(",") if n]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-convert-") as scratch:
        bench = Bench(Path(scratch), options.peer_python, options.repeats)
        tables = beside_peers(bench, options.images) if options.images else []
        scale = at_scale(bench, sizes, [int(n) for n in options.cores.split(",")]) if sizes else []
    if options.json:
        print(json.dumps([asdict(t) for table in (*tables, scale) for t in table], indent=2))
        return
    titles = ("COCO to YOLO", "COCO to YOLO, few images", "VOC to COCO")
    for title, table in zip(titles, tables, strict=False):
        show(f"{title} (wanted: {LIMIT:g}x)", table)
    if scale:
        show("ours at scale", scale)
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
