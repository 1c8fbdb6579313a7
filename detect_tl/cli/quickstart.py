"""`detect-tl quickstart`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.demo import EPOCHS, IMGSZ, QuickstartResult
from detect_tl.cli.options import PATH, device_option, seed_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output


@verb(
    "quickstart",
    """
    detect-tl quickstart
    detect-tl quickstart --weights my-yolo11n.pt --epochs 3 --out demo
    """,
)
@click.option(
    "--out",
    type=PATH,
    default="quickstart",
    show_default=True,
    metavar="DIR",
    help="Folder for everything; a number is added when it is taken.",
)
@click.option(
    "--weights",
    metavar="NAME|FILE",
    help="What to start from.  [default: yolo11n where it can be had, else the embedded starter]",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=EPOCHS, show_default=True, help="Of training."
)
@click.option(
    "--imgsz",
    type=int,
    default=IMGSZ,
    show_default=True,
    help="Side of the input in pixels.",
)
@device_option
@seed_option
@pass_output
def command(console: Output, out: Path, **options: Any) -> None:
    """Run the whole line on the embedded sample, in a few minutes.

    Converts its LabelMe annotations, transfers pretrained weights, freezes the backbone,
    fine-tunes, evaluates, exports to ONNX through the parity gate, and detects on a video. Without
    internet it starts from an embedded checkpoint: a synthetic starter, not COCO.
    """
    console.show(api.quickstart(out, progress=console.progress, **options), _describe)


def _describe(result: QuickstartResult) -> Iterator[Piece]:
    scores, parity = result.trained.evaluation.metrics.box, result.exported.parity
    rows = [
        ("started from", result.weights),
        ("classes", ", ".join(result.trained.names)),
        ("mAP50", _score(scores.map50)),
        ("mAP50-95", _score(scores.map50_95)),
        ("size", f"{result.exported.size_bytes / 1e6:.1f} MB"),
        ("parity", f"scores within {parity.score:.1g} of the checkpoint's"),
        ("speed", f"{result.predicted.fps:.0f} frames/s on {result.predicted.source.name}"),
        ("time", f"{result.seconds / 60:.1f} minutes"),
        ("video", str(result.video)),
        ("report", str(result.trained.report)),
        ("ONNX file", str(result.exported.path)),
        ("checkpoint", str(result.trained.best)),
        ("data set", str(result.dataset)),
    ]
    yield Table(("", "quickstart"), rows)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
