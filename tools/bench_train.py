"""Train on a data set with detect-tl and, to compare, with plain Ultralytics.

    python tools/bench_train.py --data BCCD --weights yolo11n.pt --epochs 10 --peer --json

Without arguments it trains on BCCD and yolo11n of the folder that DETECT_TL_SHARED names. Both
sides see the same images, weights, image size and epochs on the same machine; the peer freezes
as its guide says (`freeze=10`). Quality is judged by Ultralytics' own validator on both sides, and
ours by pycocotools as well.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from detect_tl import api
from detect_tl.cli.progress import progress_on_stderr
from detect_tl.models.yolo import YOLO, quiet

KEYS = {"detect": "metrics/mAP50-95(B)", "segment": "metrics/mAP50-95(M)"}


def ours(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train with detect-tl; return seconds and mAP50-95 of the best checkpoint."""
    values = {
        "data": arguments.data,
        "weights": str(arguments.weights),
        "freeze": arguments.freeze,
        "epochs": arguments.epochs,
        "imgsz": arguments.imgsz,
        "batch": arguments.batch,
        "amp": arguments.amp,
        "seed": arguments.seed,
        "out": folder / "ours",
        "device": arguments.device,
        **({"task": arguments.task} if arguments.task else {}),
    }
    started = time.perf_counter()
    result = api.train(progress=progress_on_stderr(), **values)
    seconds = time.perf_counter() - started
    key = KEYS[result.task]
    plan = json.loads((result.run / "transfer.json").read_text())["counts"]
    return {
        "seconds": round(seconds, 1),
        "training_seconds_per_epoch": round(result.seconds / result.epochs, 1),
        "transferred": f"{plan['tensors'] - plan['new']}/{plan['tensors']}",
        "map50_95_by_epoch": curve(result.run / "metrics.csv", key),
        "map50_95_ultralytics": validate(result.best, result.run / "dataset", arguments, key),
        "map50_95_pycocotools": result.evaluation.metrics.main.map50_95,
    }


def peer(arguments: argparse.Namespace, dataset: Path, folder: Path) -> dict[str, Any]:
    """Train with plain Ultralytics on the folder that `ours` converted."""
    started = time.perf_counter()
    with quiet():
        model = YOLO(arguments.weights)
        model.train(
            data=str(dataset / "data.yaml"),
            freeze=10,
            epochs=arguments.epochs,
            imgsz=arguments.imgsz,
            batch=arguments.batch,
            seed=arguments.seed,
            device=arguments.device,
            project=str(folder),
            name="peer",
            plots=False,
            verbose=False,
        )
    seconds = time.perf_counter() - started
    key = KEYS["detect"]
    run = folder / "peer"
    return {
        "seconds": round(seconds, 1),
        "map50_95_by_epoch": curve(run / "results.csv", key),
        "map50_95_ultralytics": validate(run / "weights" / "best.pt", dataset, arguments, key),
    }


def curve(table: Path, key: str) -> list[float]:
    """Return one column of a metrics table."""
    header, *rows = [line.split(",") for line in table.read_text().splitlines()]
    column = [name.strip() for name in header].index(key)
    return [round(float(row[column]), 4) for row in rows]


def validate(checkpoint: Path, dataset: Path, arguments: argparse.Namespace, key: str) -> float:
    """Judge a checkpoint with Ultralytics' own validator."""
    with quiet(), tempfile.TemporaryDirectory() as scratch:
        results = YOLO(checkpoint).val(
            data=str(dataset / "data.yaml"),
            imgsz=arguments.imgsz,
            device=arguments.device,
            project=scratch,
            plots=False,
            verbose=False,
        )
    return round(float(results.results_dict[key]), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("DETECT_TL_SHARED") or ".")
    bccd, weights = shared / "data/voc_bccd/BCCD", shared / "weights/yolo11n.pt"
    parser.add_argument("--data", type=Path, default=bccd)
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--task", choices=["detect", "segment"])
    parser.add_argument("--freeze", default="backbone")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--peer", action="store_true", help="train with plain Ultralytics as well")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--keep", type=Path, help="folder for the runs (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        results = {"ours": ours(arguments, folder)}
        if arguments.peer:
            results["peer"] = peer(arguments, folder / "ours" / "dataset", folder)
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for side, values in results.items():
        print(side)
        for name, value in values.items():
            print(f"  {name:22} {value}")


if __name__ == "__main__":
    main()
