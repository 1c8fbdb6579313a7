"""Whether `detect-tl serve` holds many clients at once: no error, no growth of its memory.

    python tools/bench_serve.py --model yolo11n.onnx [--clients 8] [--seconds 60] [--json]

Half of the clients send pictures over a live connection, each the next one when the answer to the
last one is there; the other half post them. Exit code 1 for any error, a client that got nothing,
or a memory that grew by more than a tenth between the first third of the run and the last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from websockets.sync.client import connect

from detect_tl.core.embedded import embedded_sample, embedded_starter
from detect_tl.core.files import find_images

MOST_GROWTH = 0.1
MIB = 1 << 20


@dataclass
class Client:
    """What one client saw: seconds from asking to the answer, and what went wrong."""

    kind: str
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def service(model: str, clients: int) -> Iterator[tuple[str, psutil.Process]]:
    """The command in a process of its own, and the address that it says."""
    command = [sys.executable, "-m", "detect_tl", "serve", model, "--port", "0", "--json"]
    command += ["--rate", "1000000", "--clients", str(clients)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            lines = list(iter(child.stdout.readline, "}\n"))
            yield json.loads("".join([*lines, "}"]))["url"], psutil.Process(child.pid)
        finally:
            child.terminate()


def live(url: str, pictures: list[bytes], goes_on: Callable[[], bool], client: Client) -> None:
    with connect(url.replace("http", "ws", 1) + "live", compression=None) as socket:
        while goes_on():
            started = time.perf_counter()
            socket.send(pictures[len(client.seconds) % len(pictures)])
            answer = json.loads(socket.recv(timeout=60))
            client.seconds.append(time.perf_counter() - started)
            if "detections" not in answer:
                client.errors.append(str(answer))


def post(url: str, pictures: list[bytes], goes_on: Callable[[], bool], client: Client) -> None:
    with httpx.Client(base_url=url, timeout=60) as session:
        while goes_on():
            started = time.perf_counter()
            picture = pictures[len(client.seconds) % len(pictures)]
            answer = session.post("/predict", content=picture)
            client.seconds.append(time.perf_counter() - started)
            if answer.status_code != 200:
                client.errors.append(f"{answer.status_code} {answer.text}")


def run(model: str, pictures: list[bytes], count: int, seconds: float) -> dict[str, Any]:
    """Let all clients work for so long, and watch the memory of the server meanwhile."""
    clients = [Client("live" if number % 2 else "post") for number in range(count)]
    memory: list[int] = []
    with service(model, count) as (url, process):
        until = time.monotonic() + seconds

        def goes_on() -> bool:
            return time.monotonic() < until

        def work(client: Client) -> None:
            try:
                (live if client.kind == "live" else post)(url, pictures, goes_on, client)
            except Exception as error:  # noqa: BLE001  # counted, whatever it is
                client.errors.append(repr(error))

        threads = [threading.Thread(target=work, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        while goes_on():
            memory.append(process.memory_info().rss)
            time.sleep(min(1.0, seconds / 30))
        for thread in threads:
            thread.join()
    return summary(clients, memory, seconds)


def summary(clients: list[Client], memory: list[int], seconds: float) -> dict[str, Any]:
    third = len(memory) // 3
    before, after = statistics.median(memory[:third]), statistics.median(memory[-third:])
    growth = after / before - 1
    errors = [error for client in clients for error in client.errors]
    counts = [len(client.seconds) for client in clients]
    times = {
        kind: [1000 * s for client in clients if client.kind == kind for s in client.seconds]
        for kind in ("live", "post")
    }
    return {
        "clients": len(clients),
        "seconds": seconds,
        "pictures": sum(counts),
        "pictures_per_second": round(sum(counts) / seconds, 1),
        "fewest_and_most_of_a_client": [min(counts), max(counts)],
        "ms": {
            kind: {f"p{q}": round(float(np.percentile(found, q)), 1) for q in (50, 95)}
            for kind, found in times.items()
            if found
        },
        "memory_mib": {"first_third": round(before / MIB, 1), "last_third": round(after / MIB, 1)},
        "growth": round(growth, 4),
        "errors": errors[:10],
        "error_count": len(errors),
        "passed": not errors and min(counts) > 0 and growth <= MOST_GROWTH,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=embedded_starter(), help="as of `detect-tl serve`")
    parser.add_argument("--images", type=Path, default=embedded_sample(), help="a folder")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    pictures = [path.read_bytes() for path in find_images(args.images)[:20]]
    result = run(str(args.model), pictures, args.clients, args.seconds)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:30} {value}")
    sys.exit(0 if result["passed"] else 1)


if __name__ == "__main__":
    main()
