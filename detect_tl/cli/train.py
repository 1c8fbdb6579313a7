"""`detect-tl train`. Its options are the fields of `TrainConfig`, with their defaults."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, get_args

import click
from pydantic.fields import FieldInfo

from detect_tl import api
from detect_tl.api.training import TrainResult
from detect_tl.cli.declared import explained, put_options
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, Command, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import COLUMNS, LAYERS, SPLIT
from detect_tl.training.config import TrainConfig


@verb(
    "train",
    """
    detect-tl train my-pictures --out runs/mine
    detect-tl train datasets/mine --weights yolov8n --freeze neck --epochs 20 --imgsz 320
    detect-tl train my-pictures --strategy gradual --plan
    detect-tl train my-pictures --config settings.yaml --lr 0.001
    """,
)
@click.argument("data", type=PATH)
@click.option("--plan", is_flag=True, help="Only say what would train when, and why.")
@pass_output
def command(console: Output, data: Path, *, plan: bool, **settings: Any) -> None:
    """Train a detector from annotations.

    DATA is a folder of images with their annotations in any known format, an annotation file, or
    a dataset folder. The run folder of --out holds the checkpoints, metrics and a report; an
    interrupted run goes on with `detect-tl resume`.
    """
    if plan:
        console.show(
            api.train_plan(data, progress=console.progress, **settings),
            lambda found: found.summary(),
        )
        return
    run = Path(settings["out"])
    with resumable(run / "config.json", f"Go on with `detect-tl resume {run}`."):
        result = api.train(data, progress=console.progress, **settings)
    console.show(result, describe)


def describe(result: TrainResult) -> Iterator[Piece]:
    metrics = result.evaluation.metrics
    header = metrics.table_header()
    yield Table(header, metrics.table_rows(), right=header[1:])
    yield f"{result.epochs} epochs in {result.seconds / 60:.1f} minutes"
    yield f"best checkpoint: {result.best}"
    yield f"report: {result.report}"


_METAVARS = {
    "freeze": "backbone|neck|none|N",
    "strategy": "auto|NAME",
    "weights": "NAME|FILE",
    "from_format": "FORMAT",
    "annotations": "GLOB",
    "out": "DIR",
    "augment": "NAME|FILE",
    "kin": "FILE",
}


def _option(name: str, field: FieldInfo) -> click.Option:
    """One field as an option."""
    flag = f"--{name.removesuffix('_format').replace('_', '-')}"
    kind = _kind(name, field)
    if kind is bool and field.default is True:
        flag = f"{flag}/--no-{name}"
    return click.Option(
        [flag, name],
        type=kind,
        is_flag=kind is bool,
        default=field.default,
        metavar=_METAVARS.get(name),
        help=explained(field.description or "", field.default),
    )


def _kind(name: str, field: FieldInfo) -> Any:
    """How click reads a field; ranges are checked, all at once, by the configuration itself."""
    if name == "split":
        return SPLIT
    if name == "freeze":
        return LAYERS
    if name == "columns":
        return COLUMNS
    kinds = get_args(field.annotation) or (field.annotation,)
    for known in (bool, int, float):
        if known in kinds:
            return known
    if Path in kinds:
        return PATH
    words = [word for kind in kinds for word in (get_args(kind) or (kind,))]
    choices = [word for word in words if isinstance(word, str)]
    return click.Choice(choices) if choices else str


def add_settings(target: Command, *, before: str, without: Collection[str] = ()) -> None:
    """Give a command the settings of a run as options, in front of its own one named `before`."""
    settings = [
        _option(name, field)
        for name, field in TrainConfig.model_fields.items()
        if name != "data" and name not in without
    ]
    put_options(target, settings, before=before)


add_settings(command, before="plan")
