"""`detect-tl oneshot`. Of the settings of `train` it has those that need no training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.api.oneshots import AGAINST, OWN, SEEDS, SETTINGS, StudyResult
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import COUNTS
from detect_tl.cli.train import add_settings, describe
from detect_tl.training.config import TrainConfig

if TYPE_CHECKING:
    from detect_tl.evaluation.benefit import Interval
    from detect_tl.evaluation.shots import Shots


@verb(
    "oneshot",
    """
    detect-tl oneshot my-pictures
    detect-tl oneshot my-pictures --weights yolov8n --imgsz 320 --out runs/now
    detect-tl oneshot datasets/mine --shots 1,5,10 --seeds 5 --against 20
    detect-tl oneshot datasets/mine --shots 1,5,10 --plan
    """,
)
@click.argument("data", type=PATH)
@click.option(
    "--shots",
    type=COUNTS,
    help="Measure what so many pictures of each class give, without training and with it.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=SEEDS,
    show_default=True,
    help="With --shots: how often pictures are drawn; more make the intervals narrower.",
)
@click.option(
    "--against",
    type=click.IntRange(min=1),
    default=AGAINST,
    show_default=True,
    metavar="EPOCHS",
    help="With --shots: of the training beside it.",
)
@click.option(
    "--strategy",
    default="freeze",
    show_default=True,
    metavar="NAME",
    help="With --shots: of the training beside it.",
)
@click.option(
    "--out",
    type=PATH,
    default="runs/oneshot",
    show_default=True,
    metavar="DIR",
    help="Run folder to write; with --shots, folder of all runs.",
)
@click.option("--plan", is_flag=True, help="Only say what would be done.")
@pass_output
def command(
    console: Output,
    data: Path,
    *,
    shots: tuple[int, ...] | None,
    seeds: int,
    against: int,
    strategy: str,
    plan: bool,
    **settings: Any,
) -> None:
    """Detect from a handful of examples, without training.

    DATA is annotations in any known format, or a dataset folder. What new classes look like is
    computed from their training objects in one look at them, and classes that the weights know by
    name are theirs; boxes are found as the weights find them. The run folder of --out is measured
    on the val split and can be used like any other: eval, predict, export, compare.

    With --shots, pictures of each class are drawn several times, and what they give in this way is
    compared with training on the same pictures: means, 95 % intervals, a picture, a verdict. An
    interrupted measurement goes on when the command is repeated.
    """
    study: dict[str, Any] = {"seeds": seeds, "against": against, "strategy": strategy}
    if plan:
        found = api.oneshot_plan(
            data, shots=shots or (), progress=console.progress, **study, **settings
        )
        console.show(found, lambda each: each.summary())
        return
    if shots is None:
        console.show(api.oneshot(data, progress=console.progress, **settings), describe)
        return
    folder = Path(settings["out"])
    settings |= study
    with resumable(folder / SETTINGS, "Repeat the command to go on; what has finished is kept."):
        result = api.oneshot_study(data, shots=shots, progress=console.progress, **settings)
    console.show(result, _describe)


def _describe(result: StudyResult) -> Iterator[Piece]:
    study = result.study
    trained = f"{study.epochs} epochs"
    header = ("of each class", "images", "imprinted", trained, "difference", "seconds")
    yield Table(header, [_row(row) for row in study.rows], "mAP50-95 on val", right=header[1:])
    yield f"trained by {result.strategy} from {result.weights}; runs and figures: {result.folder}"
    yield f"picture: {result.picture}"
    yield f"verdict: {study.verdict}"


def _row(row: Shots) -> tuple[str, ...]:
    imprinted, tuned = row.seconds
    values = map(_interval, (row.imprinted, row.tuned, row.gain))
    return str(row.shots), f"{row.images:.1f}", *values, f"{imprinted:.1f} and {tuned:.1f}"


def _interval(found: Interval) -> str:
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"


add_settings(command, before="config", without=(*(TrainConfig.model_fields.keys() - OWN), "out"))
