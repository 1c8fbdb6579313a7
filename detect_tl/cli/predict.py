"""`detect-tl predict`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from detect_tl import api
from detect_tl.cli.declared import dataclass_options, put_options
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, engine_options, trust_option, verb, zero_shot_options
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import FRAME_SIZE, IMGSZ, CommaList, Confidence, Place
from detect_tl.core.files import unused_folder
from detect_tl.core.words import counted
from detect_tl.runtime.config import PredictConfig

if TYPE_CHECKING:
    from detect_tl.runtime.result import PredictResult
    from detect_tl.scale.inference import ScaledResult


_OUT = Path("predictions")
_COCO_MODEL = "yolo11n"
"""Whose classes --zero-shot looks through where no other model is named."""


def _by_name(
    ctx: click.Context,
    parameter: click.Parameter,
    value: tuple[tuple[str, tuple[float, ...]], ...],
) -> dict[str, tuple[float, ...]]:
    names = [name for name, _ in value]
    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"{name!r} is given twice", ctx, parameter)
    return dict(value)


@verb(
    "predict",
    """
    detect-tl predict runs/mine video.mp4 --out detections
    detect-tl predict best.onnx "shots/*.jpg" --conf 0.5 --classes cat,dog
    detect-tl predict yolo11n 0 --show
    detect-tl predict runs/mine "aerial/*.jpg" --tiles 640 --save csv,images
    detect-tl predict yolo11n street.mp4 --track --line gate:0,0.6,1,0.6 --classes person,car
    detect-tl predict yolo11n streams.txt --out cameras
    detect-tl predict street.mp4 --zero-shot "sedan,pedestrian,vehicle" --out found
    detect-tl predict yolo11n - --stdin-size 640x360
    detect-tl predict runs/mine images.parquet --engine ray --address auto --out found
    """,
)
@click.argument("model")
@click.argument("source", required=False)
@zero_shot_options
@engine_options
@click.option(
    "--column",
    metavar="NAME",
    help="With --engine ray, where a table names its images.  [default: the one called like that]",
)
@trust_option
@pass_output
@click.pass_context
def command(
    ctx: click.Context, /, console: Output, model: str, source: str | None, **options: Any
) -> None:
    """Detect on images, videos, cameras and streams, without torch.

    MODEL is a run folder, a .pt or .onnx file, or the name of weights. SOURCE is an image, a
    folder, a pattern in quotes, a video, a camera number, a stream such as rtsp://…, or - for raw
    frames on standard input, as `ffmpeg … -f rawvideo -pix_fmt bgr24 -` gives them. A .txt file
    names several of those, one a line, which are read at the same time. A camera, stream or pipe
    runs until Ctrl-C, --limit or the window ends it, and what it gave until then is kept; the frame
    age is the time from capture to output.

    --zero-shot needs no training, and MODEL may be left out: it is then yolo11n. It says of each
    name what stands for it. Names that no class covers need the files of an open-vocabulary model;
    where they are missing, it says which, with exit code 4.

    --engine ray does images with all nodes of a cluster. SOURCE may then also be a table (.parquet,
    .csv, .jsonl) that names an image in every row, by its path or an address (s3://, gs://,
    https://); a .txt file may name addresses too. Results are shards: --save parquet (the default),
    jsonl or both. A run that was killed goes on when the command is repeated, and every image is
    done once; one that cannot be read is told of in `failures`, and does not end the run.

    Exit code 1 when one of several sources or images failed, or a full disk ended the run.
    """
    if source is None:
        if not options["zero_shot"]:
            raise click.MissingParameter(ctx=ctx, param_hint="'SOURCE'", param_type="argument")
        model, source = _COCO_MODEL, model
    engine, address, column = (options.pop(name) for name in ("engine", "address", "column"))
    if engine == "ray":
        _on_ray(ctx, console, model, source, address=address, column=column, **options)
    if column is not None:
        raise click.BadParameter("it goes with --engine ray", ctx, param_hint="'--column'")
    if options["out"] is None and not options["show"]:
        options["out"] = unused_folder(_OUT)
    result = api.predict(model, source, progress=console.progress, **options)
    console.show(result, _describe)
    ctx.exit(1 if result.failed else 0)


def _on_ray(
    ctx: click.Context, console: Output, model: str, source: str, **options: Any
) -> NoReturn:
    """Detect on a cluster; the folder is the same each time, so that a run can go on."""
    from detect_tl.scale.inference import predict
    from detect_tl.scale.ledger import MANIFEST

    options["out"] = options["out"] or _OUT
    begun, hint = options["out"] / MANIFEST, "Repeat the command; it goes on from there."
    with resumable(begun, hint, what="detecting"):
        result = predict(model, source, progress=console.progress, **options)
    console.show(result, _describe_scaled)
    ctx.exit(1 if result.failed else 0)


_SPECIAL: dict[str, dict[str, Any]] = {
    "out": {
        "type": PATH,
        "metavar": "DIR",
        "help": "New folder for the results.  [default: predictions, or none with --show]",
    },
    "save": {"type": CommaList("KINDS")},
    "lines": {
        "param_decls": ["--line", "lines"],
        "type": Place("x1,y1,x2,y2"),
        "multiple": True,
        "callback": _by_name,
    },
    "zones": {
        "param_decls": ["--zone", "zones"],
        "type": Place("x1,y1,x2,y2,x3,y3,…"),
        "multiple": True,
        "callback": _by_name,
    },
    "tiles": {"metavar": "SIDE"},
    "conf": {"type": Confidence()},
    "classes": {"type": CommaList("NAMES")},
    "imgsz": {"type": IMGSZ},
    "rect": {"param_decls": ["--rect/--square", "rect"], "type": bool, "is_flag": True},
    "backend": {"metavar": "NAME"},
    "reconnect": {"metavar": "SECONDS"},
    "stdin_size": {"type": FRAME_SIZE},
    "stdin_fps": {"type": click.FloatRange(0, 1000, min_open=True)},
}

put_options(command, list(dataclass_options(PredictConfig, _SPECIAL)), before="trust")


def _describe(result: PredictResult) -> Iterator[Piece]:
    for finding in result.findings:
        yield f"{finding.severity}: {finding}"
    rows = [(name, str(count)) for name, count in result.objects.items()]
    yield Table(("class", "detections"), rows, right=("detections",)) if rows else "nothing found"
    if result.tracks is not None:
        yield counted(result.tracks, "object") + " followed"
    for part in result.parts or (result,):
        if part.counts is not None:
            yield from _counted(part.counts, f"{part.source.name}: " if result.parts else "")
    yield from (f"{part.source.name}: {_pace(part)}" for part in result.parts)
    yield _pace(result)
    yield from (f"written: {path}" for path in result.files)


def _describe_scaled(result: ScaledResult) -> Iterator[Piece]:
    for finding in result.findings:
        yield f"{finding.severity}: {finding}"
    rows = [(name, str(count)) for name, count in result.objects.items()]
    yield Table(("class", "detections"), rows, right=("detections",)) if rows else "nothing found"
    before = f", {result.before} of them before" if result.before else ""
    pace = f", {result.fps:.1f} images/s on {result.cluster}" if result.cluster else ""
    yield f"{counted(result.images, 'image')}{before}{pace}"
    yield from (f"written: {path}" for path in result.files)


def _pace(result: PredictResult) -> str:
    dropped = f", {result.stats.dropped} dropped to keep up" if result.stats.dropped else ""
    return f"{result.frames} frames, {result.stats.pace}{dropped}"


def _counted(counts: dict[str, Any], where: str) -> Iterator[Piece]:
    for name, line in counts["lines"].items():
        rows = [(label, str(c["in"]), str(c["out"])) for label, c in line["classes"].items()]
        rows.append(("all", str(line["in"]), str(line["out"])))
        yield Table((f"{where}{name}", "in", "out"), rows, right=("in", "out"))
    for name, zone in counts["zones"].items():
        heads = [head for head in ("mean", "max", "distinct") if head in zone]
        every = [*zone["classes"].items(), ("all", zone)]
        rows = [(label, *(f"{values[head]:g}" for head in heads)) for label, values in every]
        yield Table((f"{where}{name}", *heads), rows, right=heads)
