"""`detect-tl benefit`. Its options are its own and, for the runs, those of `train`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.api.benefits import DECIDED, EPOCHS, SEEDS, SETTINGS, BenefitResult
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.train import add_settings

if TYPE_CHECKING:
    from detect_tl.evaluation.benefit import Measure


@verb(
    "benefit",
    """
    detect-tl benefit my-pictures
    detect-tl benefit datasets/mine --strategy freeze --epochs 30 --seeds 5 --out runs/gain
    detect-tl benefit my-pictures --weights yolov8n --imgsz 320 --json
    """,
)
@click.argument("data", type=PATH)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=SEEDS,
    show_default=True,
    help="Pairs of runs; more make the intervals narrower.",
)
@click.option(
    "--strategy",
    default="auto",
    show_default=True,
    metavar="auto|NAME",
    help="What trains when by transfer, as for `train`.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=EPOCHS,
    show_default=True,
    help="Of every run, on both sides.",
)
@click.option(
    "--out",
    type=PATH,
    default="runs/benefit",
    show_default=True,
    metavar="DIR",
    help="Folder for the runs and the result; the same command goes on there.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the first pair of runs, and of the split; the next pairs count up from it.",
)
@pass_output
def command(console: Output, data: Path, **settings: Any) -> None:
    """Measure what transfer gains over training from scratch.

    DATA is annotations in any known format, or a dataset folder. It is trained by transfer and from
    scratch, with several seeds and alike in all else. For a higher start (mAP50-95 before the first
    step), a higher slope (gain per epoch in the first third) and a higher asymptote (best mAP50-95
    of a run), the difference is given with its 95 % interval, and what follows from it, "no benefit
    here" included. An interrupted measurement goes on when the command is repeated.
    """
    folder = Path(settings["out"])
    with resumable(folder / SETTINGS, "Repeat the command to go on; what has finished is kept."):
        result = api.benefit(data, progress=console.progress, **settings)
    console.show(result, _describe)


def _describe(result: BenefitResult) -> Iterator[Piece]:
    found = result.benefit
    header = (result.metric, "transfer", "scratch", "difference", "95 % interval")
    yield Table(header, [_row(measure) for measure in found.measures], right=header[1:])
    for measure in found.measures:
        yield f"higher {measure.name}: {measure.verdict}"
    yield f"time: {found.catch_up}"
    yield f"strategy {result.strategy} from {result.weights}; runs and figures: {result.folder}"
    yield f"picture: {result.picture}"
    yield f"verdict: {found.verdict}"


def _row(measure: Measure) -> tuple[str, ...]:
    text, found = measure.text, measure.difference
    unit = " per epoch" if measure.name == "slope" else ""
    means = (text(fmean(measure.transfer)), text(fmean(measure.scratch)), text(found.mean))
    return f"{measure.name}{unit}", *means, f"{text(found.low)} to {text(found.high)}"


add_settings(command, before="config", without=(*DECIDED, "strategy", "epochs", "seed", "out"))
