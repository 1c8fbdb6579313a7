"""`detect-tl export`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.cli.options import PATH, imgsz_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, pass_output

if TYPE_CHECKING:
    from detect_tl.export.accuracy import AccuracyReport
    from detect_tl.export.model import ExportResult
    from detect_tl.export.parity import ParityReport
    from detect_tl.export.sensitivity import Quantized


@verb(
    "export",
    """
    detect-tl export runs/mine
    detect-tl export runs/mine --out mine.onnx --precision fp16
    detect-tl export runs/mine --out mine-int8.onnx --precision int8 --nms
    detect-tl export runs/mine --precision fp32+int8
    detect-tl export runs/mine --format openvino --bundle to-the-device
    detect-tl export yolo11n --imgsz 384x640 --static --data coco128
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
    "--format",
    type=click.Choice(["onnx", "openvino"]),
    help="Kind of file; openvino writes .xml and .bin.  [default: by the name of --out, or onnx]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8", "fp32+int8"]),
    default="fp32",
    show_default=True,
    help="Numbers that the file holds; int8 is calibrated on the run's pictures, or on --data. "
    "fp32+int8 holds floats for every engine, and what OpenVINO needs to run them in int8, as "
    "predict does by itself where that is the fastest.",
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
    metavar="DATA",
    help="Annotations, or mere pictures, to measure on.  [default: the run's own, or some photos]",
)
@click.option(
    "--nms",
    is_flag=True,
    help="Put non-maximum suppression into the graph, at confidence 0.25 and overlap 0.7.",
)
@click.option(
    "--bundle",
    type=PATH,
    metavar="DIR",
    help="New folder to put the file into, with all that it needs to run without torch.",
)
@trust_option
@pass_output
def command(console: Output, model: str, **options: Any) -> None:
    """Write a model as ONNX or OpenVINO IR, proved to answer alike.

    MODEL is a run folder, a .pt file, or the name of weights. Real pictures run through both the
    checkpoint and the new file, and both are measured on the labelled validation split: where the
    answers differ, or mAP50-95 falls by more than 0.002 (fp16 and fp32+int8: 0.005, int8: 0.01),
    nothing is written and the exit code is 1.
    """
    console.show(api.export(model, progress=console.progress, **options), _describe)


def _describe(result: ExportResult) -> Iterator[Piece]:
    spec, worst = result.spec, result.parity
    shape = "any size" if spec.dynamic else f"{spec.imgsz[0]}x{spec.imgsz[1]}"
    yield f"parity on {len(worst.images)} pictures: {_parity(worst)}"
    if result.accuracy is not None:
        yield _accuracy(result.accuracy)
    if result.quantized is not None:
        yield _quantized(result.quantized)
    if result.as_int8 is not None:
        yield f"run in int8: {_accuracy(result.as_int8)}"
    yield from (f"note: {note}" for note in result.notes)
    nms = ", suppression inside" if result.nms else ""
    yield (
        f"{result.path}: {result.size_bytes / 1e6:.1f} MB, {result.precision}, {shape}, "
        f"opset {result.opset}, {spec.class_count} classes{nms}"
    )
    if result.bundle is not None:
        yield f"{result.bundle}: all that it needs; its README.md says how to start it"


def _parity(worst: ParityReport) -> str:
    if worst.tolerance.score is None:
        return f"{worst.lost} of {worst.clear} clear detections have no like in the other model"
    box = "" if worst.box is None else f", boxes by {worst.box:.2g} pixels"
    return f"scores differ by {worst.score:.1g} at most{box}"


def _quantized(how: Quantized) -> str:
    kept = ", ".join(cost.group for cost in how.kept)
    return (
        f"int8: {how.groups - len(how.kept)} of {how.groups} groups of layers"
        f"{f', in floats stayed {kept}' if kept else ''}; {how.speedup:.1f} times as fast on ONNX "
        "Runtime here"
    )


def _accuracy(measured: AccuracyReport) -> str:
    if measured.basis == "checkpoint":
        return (
            f"agreement with the checkpoint's {measured.objects} detections on {measured.images} "
            f"pictures: {measured.map50[1]:.4f} (mAP50)"
        )
    before, after = measured.map50_95
    masks = ""
    if measured.mask is not None:
        masks = f", masks {measured.mask[0]:.4f} before, {measured.mask[1]:.4f} after"
    return (
        f"mAP50-95 on {measured.split}, {measured.images} pictures: {before:.4f} before, "
        f"{after:.4f} after{masks}"
    )
