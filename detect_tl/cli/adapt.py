"""`detect-tl adapt`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.api.adapting import (
    EPOCHS,
    FREEZE,
    LR,
    ROUNDS,
    AdaptResult,
)
from detect_tl.cli.options import PATH, device_option, seed_option, trust_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import LAYERS

if TYPE_CHECKING:
    from detect_tl.api.adaptation.trying import Tried
    from detect_tl.evaluation.bootstrap import Interval


@verb(
    "adapt",
    """
    detect-tl adapt runs/mine --images new-camera
    detect-tl adapt runs/mine --images new-camera --data new-camera-labelled --out runs/new-camera
    detect-tl adapt yolo11n --images new-camera --rounds 0 --plan
    """,
)
@click.argument("model")
@click.option(
    "--images", type=PATH, required=True, metavar="DIR", help="Pictures of the new camera."
)
@click.option(
    "--data",
    type=PATH,
    help="Labelled pictures of the new camera: the model that is best on them is kept."
    "  [default: none, it is judged without]",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "all"]),
    help="Part of --data.  [default: val, or the only one]",
)
@click.option("--out", type=PATH, help="New run folder.  [default: that of the model -adapted]")
@click.option(
    "--rounds",
    type=click.IntRange(min=0),
    default=ROUNDS,
    show_default=True,
    help="Of self-training; 0: only the statistics of BatchNorm.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=EPOCHS, show_default=True, help="Of a round."
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=LR,
    show_default=True,
    help="Base learning rate of a round.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    help="Pictures per step.  [default: 16, fewer for few pictures]",
)
@click.option(
    "--freeze",
    type=LAYERS,
    default=FREEZE,
    show_default=True,
    metavar="backbone|neck|none|N",
    help="What does not train in a round.",
)
@click.option(
    "--imgsz", type=click.IntRange(min=32), help="Side in pixels.  [default: the model's own]"
)
@seed_option
@click.option("--plan", is_flag=True, help="Only say what would be done.")
@device_option
@trust_option
@pass_output
@click.pass_context
def command(
    ctx: click.Context,
    /,
    console: Output,
    model: str,
    images: Path,
    *,
    plan: bool,
    **settings: Any,
) -> None:
    """Fit a model to pictures of another camera, without labels for them.

    MODEL is a run folder, a .pt file or the name of weights; it is not touched. First the
    statistics of BatchNorm are estimated anew, then a teacher labels what it is sure of for a
    student to learn. With --data the best of all on these labels is kept. Without, a change is
    kept only where the model surely agrees more with itself, between pictures and their mirror
    images. The run folder of --out says all of it in adaptation.json; the exit code is 1 where the
    model stays as it was. An interrupted adaptation goes on when the command is repeated.
    """
    if plan:
        settings.pop("out")
        found = api.adapt_plan(model, images, progress=console.progress, **settings)
        console.show(found, lambda each: each.summary())
        return
    result = api.adapt(model, images, progress=console.progress, **settings)
    console.show(result, _describe)
    if not result.adapted:
        console.note(f"the model stays as it was: {result.why}; {result.run} holds it unchanged")
        if result.plan.data is None:
            console.note("labels for some pictures of the new camera (--data) would tell more")
        ctx.exit(1)


def _describe(result: AdaptResult) -> Iterator[Piece]:
    labelled = result.plan.data is not None
    scores = ("mAP50-95", "difference") if labelled else ()
    numbers = (*scores, "agreement", "found again", "objects")
    rows = [_row(tried) for tried in result.tried]
    yield Table(("model", *numbers), rows, right=numbers)
    for tried in result.tried:
        if tried.judgement is not None:
            yield f"{tried.name}, without labels: {tried.judgement.reason}"
    yield f"judged by {result.plan.judge}"
    yield f"chosen: {result.chosen.name} ({result.why})"
    yield f"run: {result.run}"


def _row(tried: Tried) -> tuple[str, ...]:
    """Evidence and objects are those of a picture."""
    values = tried.agreement.as_json()
    cells = [
        f"{values['agreement']:.3f}",
        f"{values['found_per_image']:.2f}",
        f"{values['objects_per_image']:.2f}",
    ]
    if tried.evaluation is not None:
        points = tried.difference.points if tried.difference else None
        cells[:0] = [f"{tried.score or 0.0:.3f}", "" if points is None else _signed(points)]
    return tried.name, *cells


def _signed(points: Interval) -> str:
    if points.low is None:
        return f"{points.value:+.3f}"
    return f"{points.value:+.3f} ({points.low:+.3f} to {points.high:+.3f})"
