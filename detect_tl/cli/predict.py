"""`detect-tl predict`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.options import PATH, device_option, imgsz_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import CommaList, Confidence
from detect_tl.core.files import unused_folder

if TYPE_CHECKING:
    from detect_tl.runtime.predict import PredictResult


@verb(
    "predict",
    """
    detect-tl predict runs/mine video.mp4 --out detections
    detect-tl predict best.onnx "shots/*.jpg" --conf 0.5 --classes cat,dog
    detect-tl predict yolo11n 0 --show
    """,
)
@click.argument("model")
@click.argument("source")
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="New folder for the results.  [default: predictions, or none with --show]",
)
@click.option(
    "--save",
    type=CommaList("KINDS", ("video", "images", "jsonl")),
    help="What to write: video, images, jsonl.  [default: jsonl, and video or images]",
)
@click.option("--show", is_flag=True, help="Open a window; q ends the run.")
@click.option(
    "--conf",
    type=Confidence(),
    default=0.25,
    show_default=True,
    help="Lowest score to keep; auto: the best one for every class, as training measured.",
)
@click.option(
    "--iou",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="Overlap from which two boxes of a class are one.",
)
@click.option(
    "--max-det",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    help="Most objects in a picture.",
)
@click.option("--classes", type=CommaList("NAMES"), help="Classes to keep.  [default: all]")
@imgsz_option
@click.option(
    "--rect/--square",
    default=None,
    help="Pad to the picture's own shape or to a square.  [default: rect where sizes are free]",
)
@click.option(
    "--backend", default="auto", show_default=True, metavar="NAME", help="Engine that runs it."
)
@device_option
@click.option("--limit", type=click.IntRange(min=1), help="End after so many frames.")
@trust_option
@pass_output
def command(console: Output, model: str, source: str, **options: Any) -> None:
    """Detect on images, videos, cameras and streams, without torch.

    MODEL is a run folder, a .pt or .onnx file, or the name of weights. SOURCE is an image, a
    folder, a pattern in quotes, a video, a camera number, or a stream such as rtsp://…; a camera
    or stream runs until Ctrl-C, --limit or the window ends it.
    """
    if options["out"] is None and not options["show"]:
        options["out"] = unused_folder(Path("predictions"))
    console.show(api.predict(model, source, progress=console.progress, **options), _describe)


def _describe(result: PredictResult) -> Iterator[Piece]:
    for finding in result.findings:
        yield f"{finding.severity}: {finding}"
    rows = [(name, str(count)) for name, count in result.objects.items()]
    yield Table(("class", "detections"), rows, right=("detections",)) if rows else "nothing found"
    dropped = f", {result.stats.dropped} dropped to keep up" if result.stats.dropped else ""
    yield f"{result.frames} frames, {result.fps:.1f} frames/s{dropped}"
    yield from (f"written: {path}" for path in result.files)
