"""report.html of a run: what was learned from what, how good it is, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detect_tl.core.images import Image
from detect_tl.core.pages import class_colour, embedded_jpeg, write_page
from detect_tl.evaluation.looked import looked_into
from detect_tl.evaluation.metrics import Metrics, Scores
from detect_tl.evaluation.pictures import Picture
from detect_tl.evaluation.plots import Curves, Panel, panel_svg, panels

_TEMPLATE = Path(__file__).parent / "templates" / "run.html.j2"
_POSTER = 960
_MOST_TENSORS = 60  # the rest is in transfer.json


@dataclass(frozen=True, slots=True)
class VideoSection:
    """A video with the detections on it.

    file: address relative to the page. poster: a frame of it, (height, width, 3) uint8 BGR.
    fps: frames that were read, searched, drawn and written in a second.
    facts: more to say beside it, for example {"frames": "302"}.
    """

    file: str
    poster: Image | None = None
    fps: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file to name in the page. path: relative to the page. note: what it is."""

    path: str
    note: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What the page shows; a section without content is left out.

    title, subtitle: for example "fruit" and "yolo11n · detect · 3 classes".
    notes: what a reader must know first, such as weights that are not what they seem.
    tiles: large numbers at the top, by what they are.
    metrics, split: accuracy, and what it was measured on. analysis: `Analysis.as_json()`.
    mistakes: address of the page of mistakes.
    pictures: truth and predictions. curves: columns of metrics.csv.
    dataset: content of dataset.json. transfer: content of transfer.json.
    export: `ExportResult.as_json()`. speed: facts in words.
    settings, environment: as resolved for the run. files: where things are.
    """

    title: str
    version: str
    subtitle: str = ""
    notes: Sequence[str] = ()
    tiles: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics | None = None
    split: str = "val"
    analysis: Mapping[str, Any] | None = None
    mistakes: str | None = None
    pictures: Sequence[Picture] = ()
    curves: Curves | None = None
    dataset: Mapping[str, Any] | None = None
    dataset_report: str | None = None
    transfer: Mapping[str, Any] | None = None
    export: Mapping[str, Any] | None = None
    video: VideoSection | None = None
    speed: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[FileEntry] = ()


def write_report(report: RunReport, path: Path) -> None:
    """Write the page, whole or not at all. It needs no other file but the video."""
    values = {
        "report": report,
        "tiles": {**_score_tiles(report.metrics), **report.tiles},
        "classes": _class_rows(report.metrics),
        "overall": _overall_rows(report.metrics),
        "looked": looked_into(report.analysis) if report.analysis else None,
        "panels": [_panel_values(panel) for panel in panels(report.curves or {})],
        "transfer": _transfer_values(report.transfer) if report.transfer else None,
        "parity": _parity_rows(report.export) if report.export else [],
        "accuracy": _accuracy_rows(report.export.get("accuracy")) if report.export else [],
        "poster": _poster(report.video),
        "files": [(entry, _bytes(entry.size_bytes)) for entry in report.files],
        "export_size": _bytes(report.export["size_bytes"]) if report.export else "",
    }
    write_page(path, _TEMPLATE, values)


def _score_tiles(metrics: Metrics | None) -> dict[str, str]:
    if metrics is None:
        return {}
    kind = "masks" if metrics.mask else "boxes"
    scores = metrics.main
    values = {f"mAP50-95 of {kind}": scores.map50_95, f"mAP50 of {kind}": scores.map50}
    return {name: number(value) for name, value in values.items()}


def number(value: float | None) -> str:
    """A score with three digits; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def _overall_rows(metrics: Metrics | None) -> dict[str, list[str]]:
    """Scores over all classes by what they are, for boxes and, where there are any, for masks."""
    if metrics is None:
        return {}
    kinds = [metrics.box, metrics.mask] if metrics.mask else [metrics.box]
    columns = [_overall(scores) for scores in kinds]
    return {name: [number(column[name]) for column in columns] for name in columns[0]}


def _overall(scores: Scores) -> dict[str, float | None]:
    return {
        "mAP50-95": scores.map50_95,
        "mAP50": scores.map50,
        "mAP75": scores.map75,
        "small objects (below 32² px)": scores.small,
        "medium objects (up to 96² px)": scores.medium,
        "large objects": scores.large,
        "recall at best (AR)": scores.ar,
    }


def _class_rows(metrics: Metrics | None) -> list[dict[str, Any]]:
    if metrics is None:
        return []
    places = {scores.name: index for index, scores in enumerate(metrics.main.per_class)}
    rows = []
    for name, *cells in metrics.table_rows()[1:]:
        index = places.get(name)
        rows.append(
            {
                "name": name,
                "cells": ["–" if cell == "-" else cell for cell in cells],
                "share": 0.0 if index is None else metrics.main.per_class[index].ap or 0.0,
                "colour": "transparent" if index is None else class_colour(index),
            }
        )
    return rows


def _panel_values(panel: Panel) -> dict[str, str]:
    """The drawing, and what it shows in words for who cannot see it."""
    lasts = ", ".join(f"{label} {values[-1]:.4g}" for label, values in panel.lines.items())
    drawing = panel_svg(panel)
    return {"title": panel.title, "last": lasts, "svg": drawing[drawing.index("<svg") :]}


def _transfer_values(transfer: Mapping[str, Any]) -> dict[str, Any]:
    counts = dict(transfer["counts"])
    total = max(int(counts["tensors"]), 1)
    others = [
        {"name": name, **row}
        for name, row in transfer["tensors"].items()
        if row["fate"] != "copied"
    ]
    return {
        "summary": transfer["summary"],
        "shares": [
            (fate, counts[fate], 100 * counts[fate] / total, colour)
            for fate, colour in (
                ("copied", "#00a878"),
                ("remapped", "#2f6df6"),
                ("new", "#ff8a00"),
            )
            if counts[fate]
        ],
        "others": others[:_MOST_TENSORS],
        "left_out": max(len(others) - _MOST_TENSORS, 0),
    }


def _parity_rows(export: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What was compared, the worst that was seen, and what is allowed."""
    parity = export["parity"]
    worst, allowed = parity["worst"], parity["tolerance"]
    units = {"score": "", "box": " px", "mask": " of the largest value"}
    words = {"score": "scores", "box": "boxes", "mask": "mask outputs"}
    rows = [
        (words[key], f"{worst[key]:.2g}{unit}", f"{allowed[key]:g}{unit}")
        for key, unit in units.items()
        if worst[key] is not None and allowed[key] is not None
    ]
    shown = sum(image["detections"][0] for image in parity["images"])
    lost = sum(image["lost"] for image in parity["images"])
    share = allowed.get("lost", 0)
    most = f"a share of {share:g}" if share else "0"
    return [*rows, ("detections of one model only", f"{lost} of {shown}", most)]


def _accuracy_rows(accuracy: Mapping[str, Any] | None) -> list[tuple[str, str, str, str]]:
    """What was measured on labels, the checkpoint's value, the export's, and the allowed loss."""
    if accuracy is None or accuracy["basis"] != "labels":
        return []
    pairs = {"mAP50-95": accuracy["mAP50-95"], "of masks": accuracy["mask_mAP50-95"]}
    loss = f"{accuracy['allowed_loss']:g}"
    return [(name, f"{p[0]:.4f}", f"{p[1]:.4f}", loss) for name, p in pairs.items() if p]


def _poster(video: VideoSection | None) -> str:
    if video is None or video.poster is None:
        return ""
    return embedded_jpeg(video.poster, _POSTER)


def _bytes(size: int | None) -> str:
    if size is None:
        return ""
    if size < 1_000_000:
        return f"{max(size / 1000, 0.1):.1f} kB"
    return f"{size / 1_000_000:.1f} MB"
