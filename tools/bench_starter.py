"""Measure what the embedded starter gives over random weights on the embedded sample.

    python tools/bench_starter.py --epochs 15 --seeds 0,1

Both start from the same architecture and see the same images, settings and seeds; the table, in
Markdown, gives val mAP50-95 (mAP50) after some epochs, averaged over the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from detect_tl.curate.convert import convert
from detect_tl.training.config import FreezeSpec, TrainConfig
from detect_tl.training.run import train
from tools.worlds.offline import quiet_offline

quiet_offline()

from tools.worlds.checkpoint import save_random  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
_SHOWN = (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30)


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    label: str
    weights: Path
    freeze: FreezeSpec


@dataclass(frozen=True)
class Curve:
    """mAP50-95 and mAP50 of the validation split by epoch, and the seconds of one epoch."""

    map50_95: list[float]
    map50: list[float]
    seconds: float


def main() -> None:
    options = _options()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = scratch / "data"
        convert(options.data, data, split=(0.8, 0.2, 0.0), seed=0, task="detect")
        rows = []
        for case in _cases(options.weights, scratch):
            curves = [measure(case, data, scratch, seed, options) for seed in seeds]
            rows.append((case.label, curves))
            print(f"done: {case.label}", flush=True)
    print("\n".join(table(rows, options.epochs)))


def _cases(starter: Path, scratch: Path) -> Iterator[Case]:
    random = scratch / "random.pt"
    save_random(random, seed=0)
    yield Case("starter, backbone frozen", starter, "backbone")
    yield Case("random, backbone frozen", random, "backbone")
    yield Case("starter, all trained", starter, "none")
    yield Case("random, all trained", random, "none")


def measure(case: Case, data: Path, scratch: Path, seed: int, options: argparse.Namespace) -> Curve:
    """Train one case with one seed."""
    values = {
        "data": data,
        "weights": str(case.weights),
        "trust": True,
        "task": "detect",
        "freeze": case.freeze,
        "epochs": options.epochs,
        "imgsz": options.imgsz,
        "batch": options.batch,
        "seed": seed,
        "device": options.device,
        "workers": 0,
        "out": scratch / f"{case.label.replace(', ', '-').replace(' ', '-')}-{seed}",
    }
    result = train(TrainConfig.parse(values))
    header, *lines = [line.split(",") for line in result.run.metrics.read_text().splitlines()]
    columns = [name.strip() for name in header]
    strict, loose = (
        [float(line[columns.index(key)]) for line in lines]
        for key in ("metrics/mAP50-95(B)", "metrics/mAP50(B)")
    )
    return Curve(strict, loose, result.seconds / result.epochs)


def table(rows: list[tuple[str, list[Curve]]], epochs: int) -> list[str]:
    """The Markdown table: one row per case, one column per epoch shown."""
    shown = [e for e in _SHOWN if e < epochs] + [epochs]
    lines = [
        "| weights, what trains | " + " | ".join(f"epoch {e}" for e in shown) + " | s/epoch |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for label, curves in rows:
        strict = np.mean([c.map50_95 for c in curves], 0)
        loose = np.mean([c.map50 for c in curves], 0)
        cells = [f"{strict[e - 1]:.3f} ({loose[e - 1]:.3f})" for e in shown]
        seconds = float(np.mean([c.seconds for c in curves]))
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {seconds:.1f} |")
    return lines


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=ROOT / "weights" / "starter.pt")
    parser.add_argument("--data", type=Path, default=ROOT / "datasets" / "sample" / "images")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
