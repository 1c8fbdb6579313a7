"""`detect-tl compare`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.options import (
    PATH,
    device_option,
    measuring_options,
    reading_options,
    trust_option,
    verb,
)
from detect_tl.cli.output import Output, Piece, Table, pass_output

if TYPE_CHECKING:
    from detect_tl.api.comparing import Compared, Comparison

_MOST_SETTINGS = 12


@verb(
    "compare",
    """
    detect-tl compare runs/freeze runs/gradual
    detect-tl compare runs/mine runs/mine/best.onnx --out comparison
    detect-tl compare yolo11n yolov8n --data my-pictures
    """,
)
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--data", type=PATH, help="Annotations to compare on.  [default: those of the first run]"
)
@measuring_options
@reading_options
@click.option("--out", type=PATH, help="New folder for comparison.html and comparison.json.")
@device_option
@trust_option
@pass_output
def command(console: Output, models: tuple[str, ...], **options: Any) -> None:
    """Say which of several models is better, and whether that is more than luck.

    MODELS are run folders, .pt or .onnx files, or names of weights, all measured on the same
    images; the others are compared with the first. A paired bootstrap over the images gives the
    interval of every difference.
    """
    result = api.compare(list(models), progress=console.progress, **options)
    console.show(result, _describe)


def _describe(result: Comparison) -> Iterator[Piece]:
    yield f"{result.images} images, {result.split} of {result.data}"
    yield Table(
        ("model", "mAP50-95", "difference to the first", "p", "verdict"),
        [_row(model) for model in result.models],
    )
    yield Table(
        ("model", "size", "epochs", "training", "memory", "images/s"),
        [
            (
                model.name,
                f"{model.size_bytes / 1e6:.1f} MB",
                "-" if model.epochs is None else str(model.epochs),
                "-" if model.seconds is None else f"{model.seconds:.0f} s",
                "-" if model.memory is None else f"{model.memory / 1e9:.1f} GB",
                f"{model.images_per_second:.1f}",
            )
            for model in result.models
        ],
        right=("size", "epochs", "training", "memory", "images/s"),
    )
    rows = {**result.settings, **result.dataset}
    if rows:
        shown = list(rows.items())[:_MOST_SETTINGS]
        yield Table(
            ("what differs", *(model.name for model in result.models)),
            [(name, *("-" if cell is None else str(cell) for cell in row)) for name, row in shown],
        )
        if len(rows) > len(shown):
            yield f"and {len(rows) - len(shown)} more, see --json"
    yield from (f"written: {path}" for path in result.files)


def _row(model: Compared) -> tuple[str, ...]:
    against = model.against_first
    if against is None:
        return (model.name, str(model.score), "", "", "")
    points = against.points
    between = "" if points.low is None else f" ({points.low:+.3f} to {points.high:+.3f})"
    p_value = "-" if against.p_value is None else f"{against.p_value:.3f}"
    return (model.name, str(model.score), f"{points.value:+.3f}{between}", p_value, against.verdict)
