"""`detect-tl eval`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.evaluation import BATCH, EvalResult
from detect_tl.cli.analysis import describe_analysis
from detect_tl.cli.options import (
    PATH,
    device_option,
    imgsz_option,
    measuring_options,
    reading_options,
    trust_option,
    verb,
)
from detect_tl.cli.output import Output, Piece, Table, pass_output


@verb(
    "eval",
    """
    detect-tl eval runs/mine
    detect-tl eval runs/mine/best.onnx datasets/mine --split test
    detect-tl eval yolo11n my-pictures --json
    """,
)
@click.argument("model")
@click.argument("data", type=PATH, required=False)
@measuring_options
@reading_options
@imgsz_option
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=BATCH,
    show_default=True,
    help="Images that are run at once.",
)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="What runs the model: torch, onnxruntime, openvino.",
)
@click.option(
    "--engine",
    type=click.Choice(["faster-coco-eval", "pycocotools"]),
    default="faster-coco-eval",
    show_default=True,
    help="What counts; both say the same.",
)
@click.option(
    "--out",
    type=PATH,
    help="New folder for evaluation.json, predictions.json and mistakes.html.",
)
@device_option
@trust_option
@pass_output
def command(console: Output, model: str, data: Path | None, **options: Any) -> None:
    """Measure how good a model is, how sure that is, and where it fails.

    MODEL is a run folder, a .pt or .onnx file, or the name of weights. DATA is annotations in any
    known format, or a dataset folder; without it, a run is measured on its own data. The classes
    of the two meet by name. Intervals are of 95 % and come from a bootstrap over images. Kinds of
    errors are those of TIDE, each with the points of mAP50 that it costs. Nothing is written
    without --out.
    """
    console.show(api.evaluate(model, data, progress=console.progress, **options), _describe)


def _describe(result: EvalResult) -> Iterator[Piece]:
    for finding in result.metrics.findings:
        yield f"{finding.severity}: {finding}"
    header = result.metrics.table_header()
    yield Table(header, result.metrics.table_rows(), right=header[1:])
    scores = result.metrics.main
    sizes = (("small", scores.small), ("medium", scores.medium), ("large", scores.large))
    listed = ", ".join(f"{name} {value:.3f}" for name, value in sizes if value is not None)
    if listed:
        yield f"mAP50-95 by size: {listed}"
    if result.analysis is not None:
        yield from describe_analysis(result.analysis)
    height, width = result.imgsz
    speed = result.metrics.images / result.seconds if result.seconds else 0.0
    yield (
        f"{result.model} by {result.backend} at {height}x{width} "
        f"on {result.split} of {result.data}: "
        f"{speed:.1f} images/s"
    )
