"""What detecting through Ray costs, gains with a second node, and takes of memory.

    python tools/bench_scale.py [overhead] [nodes] [memory] [rates] [--images 2000] [--json]

overhead: a folder on all cores of this machine, through Ray and without. Both are measured on few
images and on many, so that what is left is the cost of an image, without the start; in seconds of
the clock, and in seconds of processors, which another program on the machine disturbs less.
nodes: images a second of a cluster with one node of one core, and with two of them.
memory: of the driver and of all processes together, at 1,000 images and at 20,000.
rates: how fast places of images are listed, and shards written, by the one process that does so.

At the end stands the table of `tools/scale_plan.md`, made of what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import psutil

from detect_tl import api
from detect_tl.core.embedded import embedded_sample, embedded_starter
from detect_tl.core.files import find_images
from detect_tl.core.parallel import cores
from detect_tl.scale.detecting import Answer
from detect_tl.scale.images import images_of, survey
from detect_tl.scale.ledger import opened_ledger

PARTS = "overhead", "nodes", "memory", "rates"
FEW = 200
SMALL_SIDE = 64
EVERY_SECONDS = 0.2
BACKEND = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Run:
    """One command: what it told, seconds of the clock and of processors, and most memory in MiB."""

    told: dict[str, Any]
    cpu: float
    driver_mib: float
    all_mib: float
    done: tuple[tuple[float, int], ...] = ()

    def pace(self, images: int) -> float:
        """Images a second from where three tenths are done to nine tenths: no start, and no end."""
        middle = [each for each in self.done if 0.3 * images <= each[1] <= 0.9 * images]
        (began, first), (ended, last) = middle[0], middle[-1]
        return (last - first) / (ended - began)


def watched(out: Path, *options: object) -> Run:
    """Run `detect-tl predict` and watch it with all its processes, and what it has done."""
    ledger, done = out / "done.jsonl", list[tuple[float, int]]()
    command = [sys.executable, "-m", "detect_tl", "predict"]
    command += [*map(str, options), "--out", str(out), "--json", "-q"]
    cpu: dict[int, float] = {}
    most = Counter[str]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        root = psutil.Process(driver.pid)
        while driver.poll() is None:
            together, now = 0.0, time.monotonic()
            if ledger.is_file():
                rows = [json.loads(line) for line in ledger.read_bytes().split(b"\n")[:-1]]
                done.append((now, sum(row["images"] for row in rows)))
            for process in (root, *_children(root)):
                try:
                    times, memory = process.cpu_times(), process.memory_info()
                except psutil.Error:
                    continue
                cpu[process.pid] = times.user + times.system
                own = (memory.rss - getattr(memory, "shared", 0)) / 2**20
                together += own
                if process is root:
                    most["driver"] = max(most["driver"], round(own))
            most["all"] = max(most["all"], round(together))
            time.sleep(EVERY_SECONDS)
        told = driver.stdout.read() if driver.stdout else ""
    if driver.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {driver.returncode}: {told}")
    return Run(json.loads(told), sum(cpu.values()), most["driver"], most["all"], tuple(done))


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def copies(folder: Path, count: int, side: int | None = None) -> Path:
    """So many pictures of the sample, under names of their own; `side`: made so small."""
    sample = embedded_sample()
    assert sample is not None
    known = find_images(sample / "images")
    folder.mkdir()
    for number in range(count):
        source, target = known[number % len(known)], folder / f"{number:06}.jpg"
        if number >= len(known):
            shutil.copyfile(folder / f"{number % len(known):06}.jpg", target)
        elif side is None:
            shutil.copyfile(source, target)
        else:
            cv2.imwrite(str(target), cv2.resize(cv2.imread(str(source)), (side, side)))
    return folder


class Bench:
    def __init__(self, work: Path, images: int, imgsz: int) -> None:
        self.work, self.images, self.imgsz = work, images, imgsz
        self.model = work / "starter.onnx"
        starter = embedded_starter()
        assert starter is not None
        api.export(starter, self.model, imgsz=imgsz)
        self.folder = copies(work / "images", images)
        self._runs = 0

    def run(self, engine: str, images: int, *more: object, small: Path | None = None) -> Run:
        self._runs += 1
        side = SMALL_SIDE if small else self.imgsz
        return watched(
            self.work / f"out{self._runs}",
            *(self.model, small or self.folder, "--limit", images, "--imgsz", side),
            *("--engine", engine, "--save", "jsonl", "--backend", BACKEND),
            *more,
        )

    def overhead(self) -> dict[str, float]:
        each = {}
        for engine in ("local", "ray"):
            few, many = (self.run(engine, count) for count in (FEW, self.images))
            count = self.images - FEW
            each[f"{engine} ms an image"] = 1000 * _apart("seconds", few, many) / count
            each[f"{engine} cpu ms an image"] = 1000 * (many.cpu - few.cpu) / count
            if engine == "ray":
                each["start s"] = few.told["seconds"] - each["ray ms an image"] * FEW / 1000
                each["bytes an image"] = many.told["bytes"] / many.told["images"]
        each["overhead, clock"] = each["ray ms an image"] / each["local ms an image"] - 1
        each["overhead, cpu"] = each["ray cpu ms an image"] / each["local cpu ms an image"] - 1
        return each

    def nodes(self) -> dict[str, float]:
        rates = {}
        for count in (1, 2):
            with _cluster(count) as address:
                run = self.run("ray", self.images, "--address", address)
            rates[f"images/s, nodes: {count}"] = run.pace(self.images)
        one, two = rates.values()
        return {**rates, "two nodes to one": two / one}

    def memory(self, few: int = 1000, many: int = 20_000) -> dict[str, float]:
        small = copies(self.work / "small", many, SMALL_SIDE)
        found = {}
        for count in (few, many):
            run = self.run("ray", count, small=small)
            found[f"driver MiB, {count} images"] = run.driver_mib
            found[f"all MiB, {count} images"] = run.all_mib
        return found

    def rates(self, count: int = 300_000, shards: int = 300) -> dict[str, float]:
        table = self.work / "table.csv"
        rows = (f"s3://bucket/folder/of/images/{number:012}.jpg\n" for number in range(count))
        table.write_text("image_url\n" + "".join(rows))
        began = time.perf_counter()
        survey(images_of(table))
        listed = count / (time.perf_counter() - began)
        content = os.urandom(1000 * 700)
        with opened_ledger(self.work / "ledger", {"save": ["jsonl"]}) as ledger:
            began = time.perf_counter()
            for number in range(shards):
                ledger.add(Answer(number, 1000, objects=Counter(cat=9), files={"jsonl": content}))
            written = shards * 1000 / (time.perf_counter() - began)
        return {"listed images/s": listed, "written images/s": written}


def _apart(name: str, few: Run, many: Run) -> float:
    return float(many.told[name]) - float(few.told[name])


@contextmanager
def _cluster(nodes: int) -> Iterator[str]:
    """A cluster on this machine, with nodes of one core each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(nodes - 1):
        cluster.add_node(**node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def plan(known: Mapping[str, float], cores_a_node: int = 16, count: float = 1e8) -> Iterator[str]:
    """The table of the plan: hours and bytes for so many images on 1, 10, 100 and 1000 nodes."""
    need = "ray cpu ms an image", "start s", "bytes an image", "listed images/s", "written images/s"
    if any(name not in known for name in need):
        return
    each, start, size, listed, written = (known[name] for name in need)
    driver = 1 / (1 / listed + 1 / written)
    yield "| nodes | images/s | bound by | hours | node-hours |"
    yield "|---|---|---|---|---|"
    for nodes in (1, 10, 100, 1000):
        rate = min(nodes * cores_a_node / (each / 1000), driver)
        hours = (start + count / listed + count / rate) / 3600
        bound = "the driver" if rate == driver else "the cores"
        yield f"| {nodes} | {rate:,.0f} | {bound} | {hours:,.1f} | {hours * nodes:,.0f} |"
    yield f"results: {count * size / 1e9:,.0f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    for part in asked.parts:
        if part not in PARTS:
            parser.error(f"{part} is none of: {', '.join(PARTS)}")
    known: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        bench = Bench(Path(folder), asked.images, asked.imgsz)
        for part in asked.parts:
            before = os.getloadavg()[0]
            found = getattr(bench, part)()
            known.update(found)
            if not asked.json:
                print(f"{part} ({cores()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f})")
                for name, value in found.items():
                    print(f"  {name:28} {value:12,.3f}", flush=True)
    if asked.json:
        print(json.dumps(known, indent=2))
    else:
        print("\n".join(plan(known)))


if __name__ == "__main__":
    main()
