"""How soon a data set is learned, beside plain Ultralytics, on the same machine in one run.

    python tools/bench_transfer.py [--data DIR] [--weights FILE] [--seeds 3] [--images N] [--json]
                                   [--match freeze=10:10/freeze:3 --match freeze=none:25/lp-ft:16]
    python tools/bench_transfer.py --profile freeze:2
    python tools/bench_transfer.py --images 10 --peer-bf16 --match freeze=none:100/auto:100

A match is one schedule of plain Ultralytics and one of detect-tl: what `YOLO.train` freezes and for
how many epochs, a strategy and for how many epochs. Both are run with every seed; a schedule that
several matches name is run once. The ratio of times is printed where detect-tl is no less accurate,
and the difference in points of mAP50-95 where it is no slower.

Seconds count everything from the start of the process to the end of the last epoch's validation:
imports, reading, kept features (no earlier run's), epochs. Accuracy is mAP50-95 on the val split,
of the best checkpoint, by Ultralytics' own validator; that on the test split is told beside it, and
nothing is chosen by it. Plain Ultralytics is at its best: pictures in memory, and all cores (by
itself it uses one less). On a GPU both train in bfloat16, and --workers processes load pictures.

--peer-bf16 lets plain Ultralytics train and validate in bfloat16 on a CPU, which it refuses by
itself: it loses no accuracy by it, and runs that are compared by accuracy alone end sooner.
--record keeps finished runs in a file, and does not repeat those that it finds there. Times of two
sittings must not be compared.

--profile tells where an iteration of detect-tl spends its time, and how much the parts leave over.

Without arguments: BCCD and yolo11n of the folder that DETECT_TL_SHARED names.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

KEYS = {"detect": "metrics/mAP50-95(B)", "segment": "metrics/mAP50-95(M)"}


@dataclass(frozen=True)
class Run:
    """One training. seconds: until its last validation; map50_95, test: of its best checkpoint.

    epochs: (seconds since the start, mAP50-95) after every epoch. peak_gb, gpu_gb: of memory, and
    of a GPU's. cache_gb: of features on disk. profile: seconds of an iteration and of its parts,
    when that was asked for.
    """

    side: str
    what: str
    seed: int
    seconds: float
    map50_95: float
    test: float | None
    epochs: list[tuple[float, float]]
    peak_gb: float
    gpu_gb: float
    cache_gb: float
    profile: dict[str, float]


def run_once(side: str, what: str, seed: int, arguments: argparse.Namespace, scratch: Path) -> Run:
    """Train in a process of its own, which writes what it did to a file."""
    out = Path(tempfile.mkdtemp(dir=scratch))
    job = {
        "side": side,
        "what": what,
        "seed": seed,
        "data": str(arguments.prepared),
        "task": arguments.task,
        "weights": str(arguments.weights),
        "imgsz": arguments.imgsz,
        "batch": arguments.batch,
        "device": arguments.device,
        "workers": arguments.workers,
        "profile": bool(arguments.profile),
        "bf16": arguments.peer_bf16,
        "out": str(out),
    }
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    own = {**os.environ, "XDG_CACHE_HOME": str(out / "cache")}  # no features of an earlier run
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=own)
    if done.returncode:
        sys.exit(f"{side} {what} failed:\n{done.stderr[-2000:]}")
    return Run(side, what, seed, **json.loads((out / "found.json").read_text()))


def carry_out(job: dict[str, Any]) -> None:
    """What the process does; its clock starts before anything heavy is imported."""
    began = time.perf_counter()
    epochs: list[tuple[float, float]] = []

    def after_epoch(trainer: Any) -> None:
        value = float((trainer.metrics or {}).get(KEYS[trainer.args.task], 0))
        if len(epochs) < trainer.epochs:  # and not the validation of the best one, in the end
            epochs.append((round(time.perf_counter() - began, 1), round(value, 4)))

    profile = Profile() if job["profile"] else None
    best = (_ours if job["side"] == "ours" else _peer)(job, after_epoch)
    from detect_tl.training.cost import peak_gpu_memory  # its torch is part of what is timed

    peak, on_gpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, peak_gpu_memory() or 0
    kept = sum(file.stat().st_size for file in Path(os.environ["XDG_CACHE_HOME"]).rglob("*.maps"))
    found = {
        "seconds": epochs[-1][0],
        "map50_95": _validate(best, job, "val"),
        "test": _validate(best, job, "test") if Path(job["data"], "images/test").is_dir() else None,
        "epochs": epochs,
        "peak_gb": round(peak / 1e9, 2),
        "gpu_gb": round(on_gpu / 1e9, 2),
        "cache_gb": round(kept / 1e9, 2),
        "profile": profile.parts() if profile else {},
    }
    Path(job["out"], "found.json").write_text(json.dumps(found))


class Profile:
    """Where an iteration on kept features spends its time, on average."""

    def __init__(self) -> None:
        import torch
        from ultralytics.utils.loss import v8DetectionLoss

        from detect_tl.training.engine import DetectionTransferTrainer
        from detect_tl.training.features import FeatureBatches
        from detect_tl.training.forward import Forward

        self._seconds: dict[str, float] = {}
        self._iterations = 0
        self._inside = False
        self._wrap(Forward, "rest", "forward")
        self._wrap(v8DetectionLoss, "__call__", "loss")
        self._wrap(torch.Tensor, "backward", "backward")
        self._wrap(DetectionTransferTrainer, "optimizer_step", "optimizer")
        self._follow(FeatureBatches)

    def _wrap(self, owner: Any, name: str, part: str) -> None:
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                if self._inside:  # and not in a validation
                    self._add(part, began)

        setattr(owner, name, timed)

    def _follow(self, owner: Any) -> None:
        inner = owner.__iter__

        def batches(loader: Any) -> Any:
            rows = inner(loader)
            self._inside = True
            whole = time.perf_counter()
            while True:
                began = time.perf_counter()
                batch = next(rows, None)
                self._add("data", began)
                if batch is None:
                    break
                self._iterations += 1
                yield batch
            self._add("iteration", whole)
            self._inside = False

        owner.__iter__ = batches

    def _add(self, part: str, began: float) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - began

    def parts(self) -> dict[str, float]:
        return {part: seconds / self._iterations for part, seconds in self._seconds.items()}


def _ours(job: dict[str, Any], after_epoch: Any) -> Path:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.engine import DetectionTransferTrainer, SegmentationTransferTrainer
    from detect_tl.training.run import train

    for kind in (DetectionTransferTrainer, SegmentationTransferTrainer):
        _call_after_epochs(kind, after_epoch)
    strategy, epochs = job["what"].split(":")
    values = {k: job[k] for k in ("data", "weights", "imgsz", "device", "seed", "workers")}
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
    """Plain Ultralytics; a segmenter takes what fits of the weights of a detector."""
    os.environ["YOLO_OFFLINE"] = "true"
    import torch
    from ultralytics import YOLO
    from ultralytics.utils import callbacks

    callbacks.add_integration_callbacks = lambda _: None  # it would log to what is installed
    freeze, epochs = job["what"].removeprefix("freeze=").split(":")
    weights = Path(job["weights"])
    model = YOLO(weights)
    if job["task"] == "segment" and model.task == "detect":
        model = YOLO(f"{weights.stem}-seg.yaml").load(weights)
    cores = len(os.sched_getaffinity(0))
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(cores))
    model.add_callback("on_fit_epoch_end", after_epoch)
    if job["bf16"]:
        _train_in_bfloat16()
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
        amp=True if job["device"] == "cpu" else "bf16",  # plain True looks for a model to try it on
        project=job["out"],
        name="run",
        plots=False,
        verbose=False,
    )
    return Path(job["out"], "run", "weights", "best.pt")


def _train_in_bfloat16() -> None:
    """Let training and validation of plain Ultralytics on a CPU run in bfloat16, channels last."""
    import torch
    from ultralytics.engine import trainer, validator
    from ultralytics.nn.modules.head import Detect

    from detect_tl.models.cut import to_float32

    def autocast(*_: Any, **__: Any) -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def decode_in_float32(self: Any, raw: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return decode(self, to_float32(raw))

    trainer.autocast = validator.autocast = autocast
    decode, forward, last = Detect._inference, torch.nn.Conv2d.forward, torch.channels_last
    Detect._inference = decode_in_float32
    torch.nn.Conv2d.forward = lambda self, x: forward(self, x.contiguous(memory_format=last))


def _validate(best: Path, job: dict[str, Any], split: str) -> float:
    from detect_tl.models.yolo import YOLO, quiet

    with quiet(), tempfile.TemporaryDirectory() as scratch:
        model = YOLO(best)
        results = model.val(
            data=f"{job['data']}/data.yaml",
            split=split,
            imgsz=job["imgsz"],
            device=job["device"],
            project=scratch,
            plots=False,
            verbose=False,
        )
    return round(float(results.results_dict[KEYS[model.task]]), 4)


def compare(peers: Sequence[Run], ours: Sequence[Run]) -> dict[str, Any]:
    """A match over all seeds."""
    sides = {"peer": peers, "ours": ours}
    means = {
        f"{side}_{name}": round(statistics.mean(getattr(run, name) for run in runs), 4)
        for side, runs in sides.items()
        for name in ("seconds", "map50_95", "test", "peak_gb", "gpu_gb")
        if getattr(runs[0], name) is not None
    }
    points = 100 * (means["ours_map50_95"] - means["peer_map50_95"])
    ratio = means["peer_seconds"] / means["ours_seconds"]
    return {
        "peer": f"{peers[0].what} epochs",
        "ours": f"{ours[0].what} epochs",
        **means,
        "points": round(points, 2),
        "time_ratio": round(ratio, 2) if points >= 0 else None,
        "runs": [asdict(run) for run in (*ours, *peers)],
    }


def show(result: dict[str, Any]) -> None:
    print(f"\n{result['peer']} of plain Ultralytics, and {result['ours']} of detect-tl")
    for side in ("peer", "ours"):
        own = {
            name: result.get(f"{side}_{name}")
            for name in ("seconds", "map50_95", "test", "peak_gb", "gpu_gb")
        }
        values = ", ".join(f"{r['map50_95']}" for r in result["runs"] if r["side"] == side)
        test = "" if own["test"] is None else f"; test {own['test']:.4f}"
        gpu = f", {own['gpu_gb']:.1f} GB of the GPU" if own["gpu_gb"] else ""
        print(f"  {side}: {own['seconds']:.1f} s, {own['peak_gb']:.1f} GB{gpu}")
        print(f"        mAP50-95 {own['map50_95']:.4f} ({values}){test}")
    if result["time_ratio"] is None:
        print("  its accuracy was not reached")
    else:
        print(f"  {result['time_ratio']} times sooner, at no less accuracy")
    if result["ours_seconds"] <= result["peer_seconds"]:
        print(f"  {result['points']:+.1f} points in no more time")


def show_profile(run: Run) -> None:
    whole = run.profile.pop("iteration")
    for part, seconds in sorted(run.profile.items(), key=lambda item: -item[1]):
        print(f"  {part:10s} {seconds * 1000:7.1f} ms")
    over = whole / sum(run.profile.values()) - 1
    print(f"  iteration  {whole * 1000:7.1f} ms, {over:.1%} more than its parts")
    print(f"  memory {run.peak_gb} GB at most, kept features {run.cache_gb} GB")


def few(folder: Path, images: int, seed: int, split: str = "train") -> None:
    """Leave so many pictures of a split of a prepared data set, drawn by a seed."""
    names = sorted(path.name for path in (folder / "images" / split).iterdir())
    kept = set(random.Random(seed).sample(names, images))
    for name in set(names) - kept:
        (folder / "images" / split / name).unlink()
        (folder / "labels" / split / name).with_suffix(".txt").unlink(missing_ok=True)
    truth = folder / "annotations" / f"{split}.json"
    document = json.loads(truth.read_text())
    document["images"] = [i for i in document["images"] if Path(i["file_name"]).name in kept]
    ids = {image["id"] for image in document["images"]}
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] in ids]
    truth.unlink()  # it may be linked
    truth.write_text(json.dumps(document))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    shared = Path(os.environ.get("DETECT_TL_SHARED") or ".")
    parser.add_argument("--data", type=Path, default=shared / "data/voc_bccd/BCCD")
    parser.add_argument("--weights", type=Path, default=shared / "weights/yolo11n.pt")
    parser.add_argument("--match", action="append", help="PEER/OURS, again and again")
    parser.add_argument("--images", type=int, help="train on so many only, drawn by the seed")
    parser.add_argument("--profile", metavar="OURS", help="instead of matches")
    parser.add_argument("--peer-bf16", action="store_true")
    parser.add_argument("--record", type=Path, metavar="FILE")
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
    with tempfile.TemporaryDirectory(prefix="bench-transfer-") as scratch:
        run_all(arguments, Path(scratch))


def _recorded(file: Path | None) -> dict[tuple[str, str, int], Run]:
    lines = file.read_text().splitlines() if file and file.exists() else []
    runs = [Run(**json.loads(line)) for line in lines]
    return {(run.side, run.what, run.seed): run for run in runs}


def run_all(arguments: argparse.Namespace, scratch: Path) -> None:
    from detect_tl.curate.convert import convert

    whole = convert(arguments.data, scratch / "data").folder
    arguments.task = json.loads((whole / "provenance.json").read_text())["task"]
    runs = _recorded(arguments.record)

    def of(side: str, what: str, seed: int) -> Run:
        if (side, what, seed) not in runs:
            arguments.prepared = whole
            if arguments.images:
                arguments.prepared = scratch / f"few-{seed}"
                if not arguments.prepared.exists():
                    shutil.copytree(whole, arguments.prepared)
                    few(arguments.prepared, arguments.images, seed)
            runs[side, what, seed] = run_once(side, what, seed, arguments, scratch)
            if arguments.record:
                with arguments.record.open("a") as file:
                    file.write(json.dumps(asdict(runs[side, what, seed])) + "\n")
        return runs[side, what, seed]

    if arguments.profile:
        show_profile(of("ours", arguments.profile, 0))
        return
    results = []
    for match in arguments.match or ["freeze=10:10/freeze:3"]:
        peer, ours = match.split("/")
        seeds = range(arguments.seeds)
        results.append(
            compare([of("peer", peer, k) for k in seeds], [of("ours", ours, k) for k in seeds])
        )
        if not arguments.json:
            show(results[-1])
            sys.stdout.flush()
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
