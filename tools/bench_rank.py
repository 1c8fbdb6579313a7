"""Whether `weights rank` puts checkpoints in the order in which training leaves them.

    python tools/bench_rank.py --work DIR DATA DATA DATA DATA [--minutes M]

Every DATA is a dataset folder with its own val split. Candidates are yolo11n, yolov8n, the starter,
random numbers, and yolo11n as it was fine-tuned on the next two of the other data sets (in the
order in which they are named, round and round). Each is trained on up to --images pictures of each
data set, and that is what the ranking, made on the same pictures before, is compared with.

Finished runs and rankings are kept in --work and not repeated; with --minutes no run begins after
so many. Seconds are those of the calls alone, on both sides: nothing is imported in them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.bench_transfer import few

TUNED_FROM = "yolo11n"
OTHERS = 2


@dataclass(frozen=True)
class Run:
    """One training: the best mAP50-95 on val, and that after every epoch."""

    data: str
    candidate: str
    map50_95: float
    epochs: list[float]
    seconds: float


class Bench:
    """What has been done in a folder, and what is still to do."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work: Path = options.work
        self.folders = {folder.name: folder.resolve() for folder in options.data}
        self.file = self.work / "runs.jsonl"

    @property
    def names(self) -> list[str]:
        return list(self.folders)

    def runs(self) -> dict[tuple[str, str], Run]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = [Run(**json.loads(line)) for line in lines]
        return {(run.data, run.candidate): run for run in found}

    def wanted(self) -> Iterator[tuple[str, str]]:
        """Data set and candidate of every training; those that others start from come first."""
        for candidate in (TUNED_FROM, "yolov8n", "starter", "random"):
            for name in self.names:
                yield name, candidate
        for step in range(1, OTHERS + 1):
            for place, name in enumerate(self.names):
                yield name, f"tuned:{self.names[(place + step) % len(self.names)]}"

    def weights(self, candidate: str) -> str:
        if candidate.startswith("tuned:"):
            other = candidate.removeprefix("tuned:")
            return str(self.work / "tuned" / f"{other}.pt")
        if candidate == "random":
            return str(self._random())
        file = Path(os.environ.get("DETECT_TL_SHARED") or ".", "weights", f"{candidate}.pt")
        return str(file) if file.exists() else candidate

    def _random(self) -> Path:
        path = self.work / "random.pt"
        if not path.exists():
            from tools.worlds.offline import quiet_offline

            quiet_offline()
            from tools.worlds.checkpoint import save_random

            save_random(path, seed=0)
        return path

    def prepared(self, name: str) -> Path:
        """The data set, with no more training pictures than were asked for."""
        folder = self.work / "data" / name
        if not folder.exists():
            scratch = folder.with_name(f".{name}")
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(self.folders[name], scratch)
            for split, most in (("train", self.options.images), ("val", self.options.val)):
                pictures = len(list((scratch / "images" / split).iterdir()))
                few(scratch, min(pictures, most), 0, split)
            scratch.rename(folder)
        return folder

    def train(self, name: str, candidate: str) -> Run:
        options = self.options
        with tempfile.TemporaryDirectory(prefix="bench-rank-") as scratch:
            out = Path(scratch, "run")
            job = {
                "data": str(self.prepared(name)),
                "weights": self.weights(candidate),
                "strategy": options.strategy,
                "epochs": options.epochs,
                "imgsz": options.imgsz,
                "device": "cpu",
                "workers": 0,
                "seed": 0,
                "out": str(out),
            }
            os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))  # no features of another run
            began = time.perf_counter()
            _train(job)
            seconds = time.perf_counter() - began
            rows = [line.split(",") for line in (out / "metrics.csv").read_text().splitlines()]
            column = [cell.strip() for cell in rows[0]].index("metrics/mAP50-95(B)")
            values = [round(float(row[column]), 5) for row in rows[1:]]
            if candidate == TUNED_FROM:
                (self.work / "tuned").mkdir(exist_ok=True)
                shutil.copy(out / "weights" / "best.pt", self.weights(f"tuned:{name}"))
        run = Run(name, candidate, max(values), values, round(seconds, 1))
        with self.file.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        return run


def _train(job: dict[str, Any]) -> None:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.run import train

    train(TrainConfig.parse(job))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+", help="dataset folders")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is done")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    parser.add_argument("--images", type=int, default=40, help="for training, of each data set")
    parser.add_argument("--val", type=int, default=24, help="for validation, of each data set")
    parser.add_argument("--strategy", default="freeze")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--imgsz", type=int, default=256)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    done = bench.runs()
    missing = [each for each in bench.wanted() if each not in done]
    import detect_tl.training.run  # noqa: F401  # so that no run pays for it

    until = time.monotonic() + 60 * options.minutes
    for name, candidate in missing:
        if time.monotonic() > until:
            return
        run = bench.train(name, candidate)
        print(f"{name} {candidate}: {run.map50_95:.3f} in {run.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
