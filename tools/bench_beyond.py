"""What training on several data sets, keeping old classes and teachers are worth.

    python tools/bench_beyond.py together A B [--map rbc=RBC,wbc=WBC]
    python tools/bench_beyond.py keep DATA --yardstick OLD [--replay OLD]
    python tools/bench_beyond.py teach DATA --teacher FILE

together: one model of A and B, beside a model of each alone, all measured on the val split of both.
A model that does not know a class finds none of it.
keep: models that keep all classes of the weights, by a branch and by distilling, beside one of the
new classes alone. The yardstick is never trained on: name other images for --replay. The strategy
of each may be another: --alone names that of the new classes alone.
teach: with and without a teacher.

All take --weights FILE, --epochs, --imgsz, --strategy, --seeds N, --record FILE; what is recorded
is not repeated. Accuracy is mAP50-95 of boxes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detect_tl import api
from detect_tl.formats.detect import read_dataset

Figures = Mapping[str, float]


class Book:
    """Runs that were made, by what they were; kept in a file when one is named."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._runs: dict[str, Figures] = (
            json.loads(path.read_text()) if path and path.is_file() else {}
        )

    def of(self, key: Sequence[Any], make: Callable[[], Figures]) -> Figures:
        name = json.dumps(list(map(str, key)))
        if name not in self._runs:
            self._runs[name] = make()
            if self._path:
                self._path.write_text(json.dumps(self._runs, indent=1))
        return self._runs[name]


def trained(
    arguments: argparse.Namespace,
    data: Sequence[Path],
    measured: Mapping[str, tuple[Path, str]],
    seed: int,
    **settings: Any,
) -> Figures:
    """Train, and measure on (data, split) of every name; seconds are those of `train` alone."""
    with tempfile.TemporaryDirectory(prefix="bench-beyond-") as scratch:
        out = Path(scratch) / "run"
        common = {
            "weights": str(arguments.weights),
            "epochs": arguments.epochs,
            "imgsz": arguments.imgsz,
            "strategy": arguments.strategy,
            "seed": seed,
        }
        began = time.perf_counter()
        api.train(list(data), out=out, **{**common, **settings})
        found = {"seconds": time.perf_counter() - began}
        for name, (place, split) in measured.items():
            found[name] = score(out, place, split, arguments.imgsz)
    print(settings, [str(d.name) for d in data], found, flush=True)
    return found


def score(model: str | Path, data: Path, split: Any, imgsz: int) -> float:
    """mAP50-95 over all classes of the data: 0 for one that the model does not know."""
    result = api.evaluate(model, data, split=split, imgsz=imgsz, analysis=False)
    return float(result.metrics.box.map50_95 or 0)


def together(arguments: argparse.Namespace, book: Book, seed: int) -> dict[str, Figures]:
    same = dict(pair.split("=") for pair in arguments.map.split(",")) if arguments.map else None
    with tempfile.TemporaryDirectory(prefix="bench-beyond-") as scratch:
        # each is measured under the names that the common model has
        measured = {}
        for data in arguments.data:
            renamed = Path(scratch) / data.name
            mine = _of(same, [data])
            if mine:
                api.repair(data, renamed, unite_classes=mine, link="hard")
            measured[data.name] = (renamed if mine else data, "val")
        return {
            " + ".join(d.name for d in part): book.of(
                ("together", *part, arguments.epochs, arguments.imgsz, seed),
                lambda part=part: trained(arguments, part, measured, seed, same=_of(same, part)),
            )
            for part in (*((d,) for d in arguments.data), tuple(arguments.data))
        }


def _of(same: Mapping[str, str] | None, part: Sequence[Path]) -> dict[str, str] | None:
    """The renamings that are about classes of these data sets."""
    known = {name for data in part for name in read_dataset(data).dataset.names}
    return {old: new for old, new in (same or {}).items() if old in known} or None


def keep(arguments: argparse.Namespace, book: Book, seed: int) -> dict[str, Figures]:
    (data,) = arguments.data
    measured = {"new": (data, "val"), "old": (arguments.yardstick, "all")}
    sides: dict[str, dict[str, Any]] = {
        "new classes alone": {"strategy": arguments.alone or arguments.strategy},
        "kept by a branch": {"keep_classes": "all"},
        "distilled": {"keep_classes": "all", "keep_by": "distil"},
    }
    if arguments.replay:
        sides["distilled, with replay"] = {**sides["distilled"], "replay": arguments.replay}
    if arguments.sides:
        sides = {name: sides[name] for name in arguments.sides.split(",")}
    before = book.of(
        ("before", arguments.weights, arguments.yardstick, arguments.imgsz),
        lambda: {"old": score(arguments.weights, arguments.yardstick, "all", arguments.imgsz)},
    )
    return {"the weights as they were": before} | {
        name: book.of(
            ("keep", data, name, _strategy(arguments, settings), *_length(arguments), seed),
            lambda settings=settings: trained(arguments, [data], measured, seed, **settings),
        )
        for name, settings in sides.items()
    }


def _strategy(arguments: argparse.Namespace, settings: Mapping[str, Any]) -> str:
    return str(settings.get("strategy", arguments.strategy))


def _length(arguments: argparse.Namespace) -> tuple[int, int]:
    return arguments.epochs, arguments.imgsz


def teach(arguments: argparse.Namespace, book: Book, seed: int) -> dict[str, Figures]:
    (data,) = arguments.data
    measured = {"val": (data, "val")}
    sides: dict[str, dict[str, Any]] = {
        "labels alone": {},
        "teacher": {"teacher": arguments.teacher},
    }
    return {
        name: book.of(
            ("teach", data, name, arguments.strategy, arguments.epochs, arguments.imgsz, seed),
            lambda settings=settings: trained(arguments, [data], measured, seed, **settings),
        )
        for name, settings in sides.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("together", "keep", "teach"))
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--map", default="")
    parser.add_argument("--yardstick", type=Path)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--teacher")
    parser.add_argument("--weights", default="yolo11n")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--strategy", default="freeze")
    parser.add_argument("--alone", help="another strategy for the new classes alone")
    parser.add_argument("--sides", help="of keep: only these, with commas between them")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    book = Book(arguments.record)
    side = {"together": together, "keep": keep, "teach": teach}[arguments.what]
    seeds = [side(arguments, book, seed) for seed in range(arguments.seeds)]
    columns = list(dict.fromkeys(name for table in seeds for row in table.values() for name in row))
    print(f"{'':32}" + "".join(f"{column:>24}" for column in columns))
    for name in seeds[0]:
        means = [
            statistics.mean(table[name][column] for table in seeds)
            if column in seeds[0][name]
            else None
            for column in columns
        ]
        cells = (f"{'-' if mean is None else f'{mean:.4g}':>24}" for mean in means)
        print(f"{name:32}" + "".join(cells))


if __name__ == "__main__":
    main()
