"""`detect-tl benchmark`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.options import PATH, device_option, imgsz_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import CommaList

if TYPE_CHECKING:
    from detect_tl.api.benchmarking import BenchmarkResult
    from detect_tl.runtime.benchmark import Speed

_COLUMNS = ("engine", "at once", "cores each", "ms p50", "ms p95", "frames/s", "load s", "MB", "")


@verb(
    "benchmark",
    """
    detect-tl benchmark runs/mine
    detect-tl benchmark best.onnx --image shot.jpg --backend onnxruntime,openvino
    """,
)
@click.argument("model")
@click.option(
    "--image",
    type=PATH,
    metavar="FILE",
    help="Picture to detect on.  [default: one of the run's, else a photo]",
)
@click.option(
    "--backend",
    "backends",
    type=CommaList("NAMES"),
    help="Engines to time.  [default: all that read the file]",
)
@imgsz_option
@click.option(
    "--rect/--square",
    default=None,
    help="Pad to the picture's own shape or to a square.  [default: rect where sizes are free]",
)
@device_option
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    default=3.0,
    show_default=True,
    help="How long each setting of an engine is timed.",
)
@trust_option
@pass_output
def command(console: Output, model: str, **options: Any) -> None:
    """Time the engines of this machine on a model.

    MODEL is a run folder, a .pt, .onnx or .xml file, or the name of weights. Counted is the whole
    way from a picture to its detections. An engine that answers otherwise than the first one is
    shown, and never taken by --backend auto of predict.
    """
    console.show(api.benchmark(model, progress=console.progress, **options), _describe)


def _describe(result: BenchmarkResult) -> Iterator[Piece]:
    width, height = result.size
    yield f"{result.model.name} on {result.picture}, {width}x{height}"
    yield Table(_COLUMNS, [_row(speed) for speed in result.speeds], right=_COLUMNS[1:-1])
    best = result.fastest
    if best is not None:
        yield f"fastest: {best.setting.backend}, {best.setting.at_once} at once"


def _row(speed: Speed) -> tuple[str, ...]:
    figures = speed.p50_ms, speed.p95_ms, speed.fps, speed.load_seconds, speed.memory_mb
    texts = ["" if value is None else f"{value:.1f}" for value in figures]
    setting = speed.setting
    return setting.backend, str(setting.at_once), str(setting.threads), *texts, speed.against
