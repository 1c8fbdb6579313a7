"""`detect-tl train`. Its options are the fields of `TrainConfig`, with their defaults."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from pydantic.fields import FieldInfo

from detect_tl import api
from detect_tl.api.commands import FLAGS
from detect_tl.api.training import TrainResult
from detect_tl.cli.declared import explained, put_options
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, Command, engine_options, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import COLUMNS, LAYERS, NEW_NAMES, SPLIT, CommaList
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress
from detect_tl.core.words import counted
from detect_tl.training.config import TrainConfig


@verb(
    "train",
    """
    detect-tl train my-pictures --out runs/mine
    detect-tl train datasets/mine --weights yolov8n --freeze neck --epochs 20 --imgsz 320
    detect-tl train my-pictures --strategy gradual --plan
    detect-tl train my-pictures --config settings.yaml --lr 0.001
    detect-tl train cars people --map sedan=car --keep-classes all
    detect-tl train my-pictures --engine ray --workers 2
    """,
)
@click.argument("data", type=PATH, nargs=-1, required=True)
@click.option("--plan", is_flag=True, help="Only say what would train when, and why.")
@engine_options
@pass_output
def command(
    console: Output,
    data: tuple[Path, ...],
    *,
    plan: bool,
    engine: str,
    address: str | None,
    **settings: Any,
) -> None:
    """Train a detector from annotations.

    DATA is a folder of images with their annotations in any known format, an annotation file, or
    a dataset folder. Several are trained on as one: classes of the same name are one class, and one
    that a data set does not know is no background there. The run folder of --out holds the
    checkpoints, metrics and a report; an interrupted run goes on with `detect-tl resume`.
    """
    if plan:
        console.show(
            api.train_plan(data, progress=console.progress, **settings),
            lambda found: found.summary(),
        )
        return
    run = Path(settings["out"])
    with resumable(run / "config.json", f"Go on with `detect-tl resume {run}`."):
        if engine == "ray":
            result = _train_on_ray(data, console.progress, address, settings)
        else:
            result = api.train(data, progress=console.progress, **settings)
    console.show(result, describe)


def _train_on_ray(
    data: tuple[Path, ...], progress: Progress, address: str | None, settings: dict[str, Any]
) -> TrainResult:
    """`--workers` are then processes of the cluster, whose number it decides where nobody did."""
    from detect_tl.scale.train import train

    workers = settings.pop("workers")
    source = click.get_current_context().get_parameter_source("workers")
    if source is ParameterSource.DEFAULT:
        workers = None
    elif workers < 1:
        raise UsageError("there must be a process to train", hint="Ask for --workers 1 or more.")
    return train(data, workers=workers, address=address, progress=progress, **settings)


def describe(result: TrainResult) -> Iterator[Piece]:
    metrics = result.evaluation.metrics
    header = metrics.table_header()
    yield Table(header, metrics.table_rows(), right=header[1:])
    if result.retention is not None:
        kept = result.retention
        yield (
            f"{counted(len(kept.classes), 'kept class', 'kept classes')} on {kept.data.name}:"
            f" mAP50-95 {kept.before:.3f} before, {kept.after:.3f} now"
        )
    yield _taken(result)
    yield f"best checkpoint: {result.best}"
    yield f"report: {result.report}"


def _taken(result: TrainResult) -> str:
    if not result.epochs:
        return f"no training, {result.seconds:.1f} s"
    return f"{result.epochs} epochs in {result.seconds / 60:.1f} minutes"


_METAVARS = {
    "freeze": "backbone|neck|none|N",
    "strategy": "auto|NAME",
    "weights": "NAME|FILE",
    "from_format": "FORMAT",
    "annotations": "GLOB",
    "out": "DIR",
    "augment": "NAME|FILE",
    "also": "DATA",
    "kin": "FILE",
    "keep_classes": "all|NAMES",
    "replay": "DATA",
    "yardstick": "DATA",
    "teacher": "NAME|FILE",
}


_TYPES: dict[str, click.ParamType[Any]] = {
    "split": SPLIT,
    "freeze": LAYERS,
    "columns": COLUMNS,
    "same": NEW_NAMES,
    "keep_classes": CommaList("classes"),
}


def _option(name: str, field: FieldInfo) -> click.Option:
    """One field as an option."""
    word = FLAGS.get(name, name.replace("_", "-"))
    flag = f"--{word}"
    kind = _kind(name, field)
    if kind is bool and field.default is True:
        flag = f"{flag}/--no-{name}"
    return click.Option(
        [flag, name],
        type=kind,
        is_flag=kind is bool,
        multiple=name == "also",
        default=None if field.default == () else field.default,
        metavar=_METAVARS.get(name),
        help=explained(field.description or "", field.default),
    )


def _kind(name: str, field: FieldInfo) -> Any:
    """How click reads a field; ranges are checked, all at once, by the configuration itself."""
    if name in _TYPES:
        return _TYPES[name]
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
