"""How soon a data set is learned, beside plain Ultralytics, on the same machine in one run.

    python tools/bench_transfer.py [--data DIR] [--weights FILE] [--seeds 3] [--peers freeze=10:10]
                                   [--json]

Each peer is `YOLO.train` with what it freezes and for how many epochs ("freeze=10:10",
"freeze=none:25"); detect-tl then runs to the accuracy which that peer ends with (`freeze` for one
that freezes, `lp-ft` for one that does not), and the ratio of wall-clock times is printed. Seconds
count everything from the call to the end of the last validation: start-up, kept features, epochs.
Accuracy is mAP50-95 on the val split, of the best checkpoint, by Ultralytics' own validator.

Without arguments: BCCD and yolo11n of the folder that DETECT_TL_SHARED names.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

KEYS = {"detect": "metrics/mAP50-95(B)", "segment": "metrics/mAP50-95(M)"}


@dataclass(frozen=True)
class Run:
    """One training. seconds: of all of it; map50_95: of its best checkpoint.

    epochs: (seconds since the start, mAP50-95) after every epoch.
    """

    side: str
    what: str
    seed: int
    seconds: float
    map50_95: float
    epochs: list[tuple[float, float]]

    def seconds_to(self, wanted: float) -> float | None:
        """When an epoch first reached `wanted`."""
        return next((seconds for seconds, value in self.epochs if value >= wanted), None)


def run_once(side: str, what: str, seed: int, arguments: argparse.Namespace, scratch: Path) -> Run:
    """Train in a process of its own, which writes what it did to a file."""
    out = Path(tempfile.mkdtemp(dir=scratch))
    job = {
        "side": side,
        "what": what,
        "seed": seed,
        "data": str(arguments.prepared),
        "weights": str(arguments.weights),
        "imgsz": arguments.imgsz,
        "batch": arguments.batch,
        "device": arguments.device,
        "workers": arguments.workers,
        "out": str(out),
    }
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((out / "found.json").read_text())
    return Run(side, what, seed, **found)


def carry_out(job: dict[str, Any]) -> None:
    """What the process does; its clock starts before anything heavy is imported."""
    import time

    began = time.perf_counter()
    epochs: list[tuple[float, float]] = []

    def after_epoch(trainer: Any) -> None:
        value = float((trainer.metrics or {}).get(KEYS[trainer.args.task], 0))
        if len(epochs) <= trainer.epoch:
            epochs.append((round(time.perf_counter() - began, 1), round(value, 4)))

    best = (_ours if job["side"] == "ours" else _peer)(job, after_epoch)
    seconds = round(time.perf_counter() - began, 1)
    found = {"seconds": seconds, "map50_95": _validate(best, job), "epochs": epochs}
    Path(job["out"], "found.json").write_text(json.dumps(found))


def _ours(job: dict[str, Any], after_epoch: Any) -> Path:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.engine import DetectionTransferTrainer, SegmentationTransferTrainer
    from detect_tl.training.run import train

    for kind in (DetectionTransferTrainer, SegmentationTransferTrainer):
        _call_after_epochs(kind, after_epoch)
    strategy, epochs = job["what"].split(":")
    values = {k: job[k] for k in ("data", "weights", "imgsz", "device", "seed")}
    result = train(
        TrainConfig.parse(
            {**values, "strategy": strategy, "epochs": int(epochs), "out": f"{job['out']}/run"}
        )
    )
    return result.run.best


def _call_after_epochs(kind: Any, after_epoch: Any) -> None:
    begin = kind.__init__

    def beginning(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.add_callback("on_fit_epoch_end", after_epoch)

    kind.__init__ = beginning


def _peer(job: dict[str, Any], after_epoch: Any) -> Path:
    """Plain Ultralytics, with all cores and pictures in memory, which is the best for it."""
    os.environ["YOLO_OFFLINE"] = "true"
    from ultralytics import YOLO

    freeze, epochs = job["what"].removeprefix("freeze=").split(":")
    model = YOLO(job["weights"])
    model.add_callback("on_fit_epoch_end", after_epoch)
    model.train(
        data=f"{job['data']}/data.yaml",
        freeze=None if freeze == "none" else int(freeze),
        epochs=int(epochs),
        imgsz=job["imgsz"],
        batch=job["batch"],
        device=job["device"],
        seed=job["seed"],
        workers=job["workers"],
        cache="ram",
        project=job["out"],
        name="run",
        plots=False,
        verbose=False,
    )
    return Path(job["out"], "run", "weights", "best.pt")


def _validate(best: Path, job: dict[str, Any]) -> float:
    from detect_tl.models.yolo import YOLO, quiet

    with quiet(), tempfile.TemporaryDirectory() as scratch:
        model = YOLO(best)
        results = model.val(
            data=f"{job['data']}/data.yaml",
            imgsz=job["imgsz"],
            device=job["device"],
            project=scratch,
            plots=False,
            verbose=False,
        )
    return round(float(results.results_dict[KEYS[model.task]]), 4)


def compare(what: str, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """One peer and the strategy that is to be faster, over all seeds."""
    strategy = arguments.full if "none" in what else arguments.frozen
    peers, ours = [], []
    for seed in range(arguments.seeds):
        ours.append(run_once("ours", strategy, seed, arguments, scratch))
        peers.append(run_once("peer", what, seed, arguments, scratch))
    wanted = statistics.mean(run.map50_95 for run in peers)
    reached = statistics.mean(run.map50_95 for run in ours)
    ratio = statistics.mean(r.seconds for r in peers) / statistics.mean(r.seconds for r in ours)
    return {
        "peer": f"{what} epochs",
        "ours": f"{strategy} epochs",
        "peer_seconds": round(statistics.mean(run.seconds for run in peers), 1),
        "peer_map50_95": round(wanted, 4),
        "ours_seconds": round(statistics.mean(run.seconds for run in ours), 1),
        "ours_map50_95": round(reached, 4),
        "seconds_until_ours_reached_it": [run.seconds_to(wanted) for run in ours],
        "time_ratio": round(ratio, 2) if reached >= wanted else None,
        "runs": [asdict(run) for run in (*ours, *peers)],
    }


def show(result: dict[str, Any]) -> None:
    print(f"\n{result['peer']} of plain Ultralytics, and {result['ours']} of detect-tl")
    for side in ("peer", "ours"):
        print(f"  {side}: {result[f'{side}_seconds']} s, mAP50-95 {result[f'{side}_map50_95']}")
    if result["time_ratio"] is None:
        print("  its accuracy was not reached")
    else:
        print(f"  {result['time_ratio']} times sooner, at no less accuracy")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared = Path(os.environ.get("DETECT_TL_SHARED") or ".")
    parser.add_argument("--data", type=Path, default=shared / "data/voc_bccd/BCCD")
    parser.add_argument("--weights", type=Path, default=shared / "weights/yolo11n.pt")
    parser.add_argument("--peers", default="freeze=10:10", help="comma-separated")
    parser.add_argument("--frozen", default="freeze:4", help="strategy:epochs against freeze=N")
    parser.add_argument("--full", default="lp-ft:18", help="strategy:epochs against freeze=none")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16, help="of the peer; ours chooses by size")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        carry_out(json.loads(arguments.job))
        return
    from detect_tl.curate.convert import convert

    results = []
    with tempfile.TemporaryDirectory(prefix="bench-transfer-") as scratch:
        arguments.prepared = convert(arguments.data, Path(scratch, "data")).folder
        for what in arguments.peers.split(","):
            results.append(compare(what, arguments, Path(scratch)))
            if not arguments.json:
                show(results[-1])
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
