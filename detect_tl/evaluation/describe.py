"""The report of a run, gathered from what lies in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

from detect_tl import __version__
from detect_tl.core.errors import DataError
from detect_tl.core.files import read_json
from detect_tl.evaluation.metrics import Metrics
from detect_tl.evaluation.pictures import Picture
from detect_tl.evaluation.plots import read_curves
from detect_tl.evaluation.report import FileEntry, RunReport, VideoSection

_FILES = {
    "weights/best.pt": "the best checkpoint, to train on or to export",
    "weights/last.pt": "the checkpoint of the last epoch",
    "best.onnx": "the best model for ONNX Runtime and other engines",
    "metrics.csv": "losses and accuracy of every epoch",
    "results.png": "the same as curves",
    "metrics.json": "accuracy of the best checkpoint, with intervals and kinds of errors",
    "thresholds.json": "from which confidence on each class is worth showing",
    "mistakes.html": "pictures of what it gets wrong",
    "export.json": "what the parity gate measured on the exported model",
    "transfer.json": "what became of every tensor of the weights",
    "config.json": "every setting",
    "cost.json": "time and memory that training took",
    "dataset.json": "what it was trained on",
    "environment.json": "versions and machine",
}


def describe_run(
    run: Path,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    pictures: Sequence[Picture] = (),
    export: Mapping[str, Any] | None = None,
    video: VideoSection | None = None,
    speed: Mapping[str, str] | None = None,
    files: Sequence[FileEntry] = (),
) -> RunReport:
    """Gather the report of a run folder.

    title: the name of the folder when empty. export: `ExportResult.as_json()`;
    None: that of the last export into the run.
    files: more than those of the folder itself; paths relative to it.
    What the folder does not hold (a run that has not been evaluated, say) is left out.

    Raises DataError when it holds no run at all, or when one of its files is broken.
    """
    config, dataset = _read(run, "config.json"), _read(run, "dataset.json")
    if config is None or dataset is None:
        raise DataError(
            "is no run folder: it has no config.json and dataset.json",
            path=run,
            hint="Name the folder that `detect-tl train` wrote.",
        )
    measured = _read(run, "metrics.json")
    export = export or _read(run, "export.json")
    curves = run / "metrics.csv"
    return RunReport(
        title=title or run.resolve().name,
        version=__version__,
        subtitle=_subtitle(config, dataset),
        notes=notes,
        tiles=_tiles(export, video),
        metrics=Metrics.from_json(measured) if measured else None,
        split=measured.get("split", "val") if measured else "val",
        analysis=measured.get("analysis") if measured else None,
        mistakes="mistakes.html" if (run / "mistakes.html").is_file() else None,
        pictures=pictures,
        curves=read_curves(curves) if curves.is_file() else None,
        dataset=dataset,
        dataset_report=_dataset_report(run, dataset),
        transfer=_read(run, "transfer.json"),
        export=export,
        video=video,
        speed={**_measured_speed(measured), **(speed or {})},
        settings=config,
        environment=_flat(_read(run, "environment.json") or {}),
        files=[*_files(run), *files],
    )


def _measured_speed(measured: Mapping[str, Any] | None) -> dict[str, str]:
    """How fast the model was while it was evaluated."""
    if not measured or not measured.get("seconds"):
        return {}
    height, width = measured["imgsz"]
    speed = measured["images"] / measured["seconds"]
    where = f"{height}x{width}, by {measured['backend']}"
    return {"evaluation": f"{speed:.1f} images/s at {where}, reading included"}


def _read(run: Path, name: str) -> dict[str, Any] | None:
    path = run / name
    if not path.is_file():
        return None
    content: dict[str, Any] = read_json(path)
    return content


def _subtitle(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    classes, freeze = len(dataset["names"]), config["freeze"]
    parts = [
        f"{config['task']} model of {classes} class{'' if classes == 1 else 'es'}",
        f"from {Path(str(config['weights'])).name}",
        f"strategy {config['strategy']}" + (f", frozen: {freeze}" if freeze is not None else ""),
        f"{config['epochs']} epochs at {config['imgsz']} px",
    ]
    return " · ".join(parts)


def _tiles(export: Mapping[str, Any] | None, video: VideoSection | None) -> dict[str, str]:
    tiles = {}
    if export:
        tiles["ONNX file"] = f"{export['size_bytes'] / 1e6:.1f} MB"
        tiles["parity gate"] = "holds"
    if video and video.fps is not None:
        tiles["frames/s on video"] = f"{video.fps:.1f}"
    return tiles


def _dataset_report(run: Path, dataset: Mapping[str, Any]) -> str | None:
    page = run / dataset["path"] / "report.html"
    return relpath(page, run) if page.is_file() else None


def _files(run: Path) -> list[FileEntry]:
    there = [(name, note) for name, note in _FILES.items() if (run / name).is_file()]
    return [FileEntry(name, note, (run / name).stat().st_size) for name, note in there]


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values side by side: packages among the rest."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(value if isinstance(value, Mapping) else {name: value})
    return flat
