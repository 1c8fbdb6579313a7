"""Comparing runs, or any models, on the same images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from detect_tl.api.evaluation import EvalResult, Split, evaluate
from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.api.reading import Reading
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.evaluation.bootstrap import Interval
    from detect_tl.evaluation.compare import Difference
    from detect_tl.evaluation.plots import Curves


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the models.

    score: its mAP50-95. against_first: None for the first model. size_bytes: of its file.
    seconds, memory (bytes at most), epochs: of its training, None for what is no run.
    images_per_second: while it was evaluated here. curves: of its training.
    """

    name: str
    evaluation: EvalResult
    score: Interval
    against_first: Difference | None
    size_bytes: int
    seconds: float | None
    memory: int | None
    epochs: int | None
    images_per_second: float
    curves: Curves | None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "mAP50-95": self.score.as_json(),
            "against_first": self.against_first.as_json() if self.against_first else None,
            "size_bytes": self.size_bytes,
            "training_seconds": self.seconds,
            "training_memory": self.memory,
            "epochs": self.epochs,
            "images_per_second": round(self.images_per_second, 2),
            "evaluation": self.evaluation.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models side by side, in the order in which they were named.

    data, split, images: what they were compared on. settings: those that differ, a value for each
    model. dataset: likewise, of what they were trained on. files: what was written.
    """

    data: Path
    split: Split
    images: int
    models: tuple[Compared, ...]
    settings: dict[str, list[Any]]
    dataset: dict[str, list[Any]]
    files: tuple[Path, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "data": str(self.data),
            "split": self.split,
            "images": self.images,
            "models": [model.as_json() for model in self.models],
            "settings": self.settings,
            "dataset": self.dataset,
            "files": [str(path) for path in self.files],
        }


def compare(
    models: Sequence[str | Path],
    data: Path | None = None,
    *,
    split: Split | None = None,
    out: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> Comparison:
    """Measure several models on the same images, with the significance of every difference.

    models: run folders, .pt or .onnx files, names of weights; the others are compared with the
    first. data: annotations in any format; None: what the first one was trained on.
    out: folder for `comparison.json` and `comparison.html`; None writes nothing.

    Raises UsageError for fewer than two models, and what `evaluate` raises.
    """
    from detect_tl.core.files import refuse_existing
    from detect_tl.evaluation.compare import differing

    if len(models) < 2:
        raise UsageError(
            "there is nothing to compare it with",
            hint="Name two models at least: detect-tl compare runs/one runs/two",
        )
    if out is not None:
        refuse_existing(Path(out))
    show = progress or Silent()
    files = [find_model(model, trust=trust, progress=show) for model in models]
    source = files[0].data(data, hint="Name the annotations: --data DATA")
    measured = []
    for model in models:
        show.say(f"{model}:")
        settings: dict[str, Any] = {"split": split, "device": device, "trust": trust}
        settings |= {"resamples": resamples, "seed": seed, "progress": show, **reading}
        measured.append(evaluate(model, source, **settings))
    runs = [each.run.path if each.run else None for each in files]
    result = Comparison(
        data=source,
        split=measured[0].split,
        images=measured[0].metrics.images,
        models=tuple(_compared(files, measured)),
        settings=differing([_content(run, "config.json") for run in runs]),
        dataset=differing([_content(run, "dataset.json") for run in runs]),
    )
    return result if out is None else _written(result, Path(out))


def _compared(files: Sequence[ModelFiles], measured: Sequence[EvalResult]) -> Iterator[Compared]:
    from detect_tl.evaluation.compare import difference
    from detect_tl.evaluation.plots import read_curves

    base = None
    for each, evaluation in zip(files, measured, strict=True):
        analysis = evaluation.analysis
        if analysis is None:
            raise DataError("has no objects, so nothing can be compared", path=evaluation.data)
        curves = None
        if each.run is not None and each.run.metrics.is_file():
            curves = read_curves(each.run.metrics)
        path = each.checkpoint or each.onnx
        assert path is not None, "a model has one file or the other"
        yield Compared(
            name=each.name,
            evaluation=evaluation,
            score=analysis.map50_95,
            against_first=difference(analysis.drawn, base) if base else None,
            size_bytes=path.stat().st_size,
            seconds=curves["time"][-1] if curves else None,
            memory=_content(each.run.path if each.run else None, "cost.json").get("memory"),
            epochs=int(curves["epoch"][-1]) if curves else None,
            images_per_second=evaluation.metrics.images / max(evaluation.seconds, 1e-9),
            curves=curves,
        )
        base = base or analysis.drawn


def _content(run: Path | None, name: str) -> dict[str, Any]:
    from detect_tl.core.files import read_json

    if run is None or not (run / name).is_file():
        return {}
    content: dict[str, Any] = read_json(run / name)
    return {key: value for key, value in content.items() if key != "out"}  # never the same


def _written(result: Comparison, out: Path) -> Comparison:
    from detect_tl.core.files import atomic_folder, write_json
    from detect_tl.evaluation.comparison_page import write_comparison

    names = ("comparison.json", "comparison.html")
    with atomic_folder(out) as scratch:
        write_json(scratch / names[0], result.as_json())
        curves = {m.name: m.curves for m in result.models if m.curves}
        write_comparison(scratch / names[1], result.as_json(), curves)
    return replace(result, files=tuple(out / name for name in names))
