"""Whether `weights rank` puts checkpoints in the order in which training leaves them.

    python tools/bench_rank.py [DATA DATA DATA …] [--work DIR] [--minutes M] [--json]

Every DATA is annotations with splits, or a dataset folder; without any, BCCD, the blood cells of
Roboflow, number plates and balloons of the folder that DETECT_TL_SHARED names. Candidates are
yolo11n, yolov8n, the starter, random numbers, and yolo11n as it was fine-tuned on the next two of
the other data sets (in the order in which they are named, round and round). Each is trained on up
to --images pictures of each data set, and that is what the ranking, made on the same pictures
before, is compared with.

Told for each data set: Spearman's and Kendall's rank correlation and Kendall's weighted one (the
top counts more), of the score and, beside it, of what else is known of candidates; the same without
the control of random numbers, which is easy to tell; what is lost in mAP50-95 by starting from the
first of the ranking instead of from what trained best; and the time of ranking as a share of that
of training.

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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.bench_transfer import few

TUNED_FROM = "yolo11n"
OTHERS = 2
DATA = ("voc_bccd/BCCD", "coco_rf_rbc", "createml_anpr", "via_balloon")


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

    def rank(self, name: str) -> dict[str, Any]:
        """The ranking of the candidates of a data set, made once and kept."""
        path = self.work / "ranks" / f"{name}.json"
        if not path.exists():
            from detect_tl.api import weights_rank

            candidates = [candidate for data, candidate in self.wanted() if data == name]
            files = {self.weights(candidate): candidate for candidate in candidates}
            folder, imgsz = self.prepared(name), self.options.imgsz
            result = weights_rank(folder, list(files), imgsz=imgsz, device="cpu").as_json()
            for each in result["candidates"]:
                each["weights"] = files[each["weights"]]
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(result, indent=1))
        found: dict[str, Any] = json.loads(path.read_text())
        return found

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
        from detect_tl.curate.convert import convert

        folder = self.work / "data" / name
        if not folder.exists():
            scratch = folder.with_name(f".{name}")
            shutil.rmtree(scratch, ignore_errors=True)
            convert(self.folders[name], scratch, task="detect")
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


def signals(candidate: dict[str, Any]) -> dict[str, float]:
    """What is known of a candidate before training, by which it could be ranked."""
    found = {"score": candidate["score"]}
    for depth in candidate["depths"]:
        for kind in ("classes", "boxes", "logme"):
            found[f"{kind} at {depth['freeze']}"] = depth[kind]
    return found


def correlations(ours: Sequence[float], trained: Sequence[float]) -> tuple[float, float, float]:
    """Spearman's, Kendall's and the weighted Kendall's."""
    from scipy.stats import kendalltau, spearmanr, weightedtau

    found = (measure(ours, trained).statistic for measure in (spearmanr, kendalltau, weightedtau))
    return tuple(round(float(value), 3) for value in found)  # type: ignore[return-value]


def compare(bench: Bench, name: str) -> dict[str, Any]:
    """A ranking beside what training made of its candidates."""
    ranking, runs = bench.rank(name), bench.runs()
    rows = {row["weights"]: row for row in ranking["candidates"]}
    trained = {candidate: runs[name, candidate].map50_95 for candidate in rows}
    real = [candidate for candidate in rows if candidate != "random"]
    names = list(signals(next(iter(rows.values()))))
    first = ranking["candidates"][0]["weights"]
    training = sum(runs[name, candidate].seconds for candidate in rows)
    return {
        "data": name,
        "trained": trained,
        "score": {candidate: round(row["score"], 4) for candidate, row in rows.items()},
        "correlation": {
            signal: correlations([signals(rows[c])[signal] for c in rows], list(trained.values()))
            for signal in names
        },
        "without_random": {
            signal: correlations(
                [signals(rows[c])[signal] for c in real], [trained[c] for c in real]
            )
            for signal in names
        },
        "lost_by_the_first": round(max(trained.values()) - trained[first], 4),
        "seconds": ranking["seconds"],
        "training_seconds": round(training, 1),
        "share": round(ranking["seconds"] / training, 3),
    }


def show(results: Sequence[dict[str, Any]]) -> None:
    for each in results:
        print(f"\n{each['data']}: lost by starting from the first {each['lost_by_the_first']:.3f}")
        print(f"  {each['seconds']} s, {each['share']:.1%} of {each['training_seconds']} s")
        for candidate, value in sorted(each["trained"].items(), key=lambda item: -item[1]):
            print(f"  {candidate:24s} trained {value:.3f}  score {each['score'][candidate]:.3f}")
    for kind in ("correlation", "without_random"):
        print(f"\n{kind}: Spearman, Kendall, weighted Kendall; mean, and of each data set")
        for signal in results[0][kind]:
            rows = [each[kind][signal] for each in results]
            mean = [sum(row[k] for row in rows) / len(rows) for k in range(3)]
            parts = "  ".join("/".join(f"{value:.2f}" for value in row) for row in rows)
            print(f"  {signal:20s} {'/'.join(f'{value:.2f}' for value in mean)}   {parts}")


def _train(job: dict[str, Any]) -> None:
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.run import train

    train(TrainConfig.parse(job))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--work", type=Path, help="folder that keeps what is done")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    parser.add_argument("--images", type=int, default=40, help="for training, of each data set")
    parser.add_argument("--val", type=int, default=24, help="for validation, of each data set")
    parser.add_argument("--strategy", default="freeze")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--imgsz", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shared = Path(os.environ.get("DETECT_TL_SHARED") or ".", "data")
    options.data = options.data or [shared / name for name in DATA]
    with tempfile.TemporaryDirectory(prefix="bench-rank-") as scratch:
        options.work = options.work or Path(scratch)
        options.work.mkdir(parents=True, exist_ok=True)
        carry_out(Bench(options))


def carry_out(bench: Bench) -> None:
    """Train what is missing, as long as there is time, and tell what came of it."""
    options = bench.options
    done = bench.runs()
    missing = [each for each in bench.wanted() if each not in done]
    import detect_tl.training.run  # noqa: F401  # so that no run pays for it

    until = time.monotonic() + 60 * options.minutes
    for name, candidate in missing:
        if time.monotonic() > until:
            return
        run = bench.train(name, candidate)
        print(f"{name} {candidate}: {run.map50_95:.3f} in {run.seconds:.0f} s", flush=True)
    results = [compare(bench, name) for name in bench.names]
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        show(results)


if __name__ == "__main__":
    main()
