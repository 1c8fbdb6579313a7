"""`detect-tl label`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.labelling import LabelResult
from detect_tl.cli.describe import count_lines, counts_table, findings_lines
from detect_tl.cli.options import PATH, device_option, imgsz_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, pass_output
from detect_tl.cli.params import CommaList, Confidence
from detect_tl.core.files import unused_folder
from detect_tl.core.words import counted


@verb(
    "label",
    """
    detect-tl label runs/mine new-pictures --to labelme --out to-correct
    detect-tl label best.onnx "shots/*.jpg" --to cvat,coco --conf auto --classes cat,dog
    detect-tl label runs/mine new-pictures --rank --limit 50 --labelled my-pictures
    """,
)
@click.argument("model")
@click.argument("images")
@click.option(
    "--to",
    type=CommaList("FORMATS"),
    default="labelme",
    show_default=True,
    help="Formats to write, with commas between them: labelme, cvat, label-studio, yolo, coco, "
    "voc, or what a plug-in writes.",
)
@click.option(
    "--out", type=PATH, metavar="DIR", help="New folder for all of it.  [default: labels]"
)
@click.option(
    "--conf",
    type=Confidence(),
    default=0.25,
    show_default=True,
    help="Lowest score to keep, for all or by class (person=0.5,car=0.3); auto: the best one for "
    "every class, as training measured.",
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
    help="Most objects in an image.",
)
@click.option("--classes", type=CommaList("NAMES"), help="Classes to look for.  [default: all]")
@click.option(
    "--rank",
    is_flag=True,
    help="Order the images by what a label would teach: doubtful objects, and looks that are new. "
    "ranking.csv says why.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Label only so many images: the first by --rank, or else by name.",
)
@click.option(
    "--labelled",
    type=PATH,
    metavar="DATA",
    help="What is labelled already, in any format: left out, and with --rank no longer new.",
)
@click.option(
    "--link",
    type=click.Choice(["copy", "hard", "soft"]),
    default="copy",
    show_default=True,
    help="Copy the images, or link to them.",
)
@imgsz_option
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="What runs the model: torch, onnxruntime, openvino.",
)
@device_option
@trust_option
@pass_output
def command(console: Output, model: str, images: str, **options: Any) -> None:
    """Write what a model finds as annotations to be corrected.

    MODEL is a run folder, a .pt or .onnx file, or the name of weights. IMAGES is an image, a
    folder, a pattern in quotes, or a .txt list of those. Label Studio gets predictions, the other
    tools annotations; masks become outlines of few corners. With --rank, images are ordered by how
    much the model doubts what it finds on them times how little they look like those labelled
    before; in ranking.csv, each counts as labelled for the ones below it. Where all images are of a
    kind, that may be no better than chance: on blood cells (BCCD) it was not.
    """
    options["out"] = options["out"] or unused_folder(Path("labels"))
    console.show(api.label(model, images, progress=console.progress, **options), _describe)


def _describe(result: LabelResult) -> Iterator[Piece]:
    yield from findings_lines(result.report, ("error", "warning"))
    yield counts_table({name: count for name, count in result.objects.items() if count})
    yield from count_lines(result.report)
    yield (
        f"{counted(result.images, 'image')} and {counted(sum(result.objects.values()), 'object')}"
        f" labelled by {result.model} ({result.backend}); nothing found on {result.without}"
    )
    if result.order is not None:
        yield f"{counted(len(result.order), 'image')} ranked: {result.ranking}"
        yield f"what looks alike was told by {result.order.by}"
    yield f"written: {result.folder}"
    for title, how in result.opening.items():
        yield f"to correct in {title}: {how}"
