"""`detect-tl predict`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.options import PATH, device_option, imgsz_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import FRAME_SIZE, CommaList, Confidence
from detect_tl.core.files import unused_folder

if TYPE_CHECKING:
    from detect_tl.runtime.predict import PredictResult


@verb(
    "predict",
    """
    detect-tl predict runs/mine video.mp4 --out detections
    detect-tl predict best.onnx "shots/*.jpg" --conf 0.5 --classes cat,dog
    detect-tl predict yolo11n 0 --show
    detect-tl predict yolo11n streams.txt --out cameras
    detect-tl predict yolo11n - --stdin-size 640x360
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
@click.option(
    "--reconnect",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to try again when a stream is lost; 0: not at all.",
)
@click.option("--stdin-size", type=FRAME_SIZE, help="Size of the raw frames on standard input.")
@click.option(
    "--stdin-fps",
    type=click.FloatRange(0, 1000, min_open=True),
    default=25.0,
    show_default=True,
    help="Frames a second on standard input.",
)
@trust_option
@pass_output
@click.pass_context
def command(
    ctx: click.Context, /, console: Output, model: str, source: str, **options: Any
) -> None:
    """Detect on images, videos, cameras and streams, without torch.

    MODEL is a run folder, a .pt or .onnx file, or the name of weights. SOURCE is an image, a
    folder, a pattern in quotes, a video, a camera number, a stream such as rtsp://…, or - for raw
    frames on standard input, as `ffmpeg … -f rawvideo -pix_fmt bgr24 -` gives them. A .txt file
    names several of those, one a line, which are read at the same time. A camera, stream or pipe
    runs until Ctrl-C, --limit or the window ends it, and what it gave until then is kept; the frame
    age is the time from capture to output. Exit code 1 when one of several sources failed, or a
    full disk ended the run.
    """
    if options["out"] is None and not options["show"]:
        options["out"] = unused_folder(Path("predictions"))
    result = api.predict(model, source, progress=console.progress, **options)
    console.show(result, _describe)
    ctx.exit(1 if result.failed else 0)


def _describe(result: PredictResult) -> Iterator[Piece]:
    for finding in result.findings:
        yield f"{finding.severity}: {finding}"
    rows = [(name, str(count)) for name, count in result.objects.items()]
    yield Table(("class", "detections"), rows, right=("detections",)) if rows else "nothing found"
    yield from (f"{part.source.name}: {_pace(part)}" for part in result.parts)
    yield _pace(result)
    yield from (f"written: {path}" for path in result.files)


def _pace(result: PredictResult) -> str:
    dropped = f", {result.stats.dropped} dropped to keep up" if result.stats.dropped else ""
    return f"{result.frames} frames, {result.stats.pace}{dropped}"
