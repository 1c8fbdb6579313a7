"""`detect-tl export`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.options import PATH, imgsz_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, pass_output

if TYPE_CHECKING:
    from detect_tl.export.onnx import ExportResult


@verb(
    "export",
    """
    detect-tl export runs/mine
    detect-tl export runs/mine --out mine.onnx --precision fp16
    detect-tl export yolo11n --imgsz 384x640 --static
    """,
)
@click.argument("model")
@click.option(
    "--out",
    type=PATH,
    metavar="FILE",
    help="File to write.  [default: best.onnx in the run, or MODEL.onnx here]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Numbers that the file holds.",
)
@imgsz_option
@click.option(
    "--dynamic/--static",
    default=True,
    help="Leave batch and input size free, or fix them.  [default: dynamic]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Images in one call of the model.",
)
@click.option("--opset", type=int, help="Version of ONNX' operators, 12 to 20.  [default: 18]")
@click.option(
    "--data",
    type=PATH,
    metavar="DIR",
    help="Pictures to compare on.  [default: the run's own, else a few photos]",
)
@trust_option
@pass_output
def command(console: Output, model: str, **options: Any) -> None:
    """Write a model as ONNX, proved to answer alike.

    MODEL is a run folder, a .pt file, or the name of weights. Real pictures run through both the
    checkpoint and the new file; where the answers differ by more than rounding, nothing is written
    and the exit code is 1.
    """
    console.show(api.export(model, progress=console.progress, **options), _describe)


def _describe(result: ExportResult) -> Iterator[Piece]:
    spec = result.spec
    shape = "any size" if spec.dynamic else f"{spec.imgsz[0]}x{spec.imgsz[1]}"
    worst = result.parity
    box = "" if worst.box is None else f", boxes by {worst.box:.2g} pixels"
    yield (
        f"parity on {len(worst.images)} pictures: scores differ by {worst.score:.1g} at most{box}"
    )
    yield from (f"note: {note}" for note in worst.notes)
    yield (
        f"{result.path}: {result.size_bytes / 1e6:.1f} MB, {result.precision}, {shape}, "
        f"opset {result.opset}, {spec.class_count} classes"
    )
