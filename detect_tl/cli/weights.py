"""`detect-tl weights list | info | fetch | path`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from detect_tl import api
from detect_tl.api.weights import WeightsFile, WeightsInfo, WeightsList
from detect_tl.cli.options import PATH, CommandGroup, trust_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output

_MEGA = 1e6


@click.group("weights", cls=CommandGroup)
def command() -> None:
    """Find, fetch and describe pretrained weights.

    A name is looked for in the folder of DETECT_TL_WEIGHTS, in weights/, in the user's cache, and
    then at the official release; every official file is checked by its SHA-256.
    """


@verb(
    "list",
    """
    detect-tl weights list
    detect-tl weights list --json
    """,
)
@pass_output
def list_command(console: Output) -> None:
    """List the weights that can be named, and which are on this machine."""
    console.show(api.weights_list(), _describe_list)


@verb(
    "info",
    """
    detect-tl weights info yolo11n
    detect-tl weights info runs/mine/weights/best.pt
    """,
)
@click.argument("weights")
@trust_option
@pass_output
def info_command(console: Output, weights: str, trust: bool) -> None:
    """Tell what WEIGHTS, a name or a file, are."""
    console.show(api.weights_info(weights, trust=trust), _describe_info)


@verb(
    "fetch",
    """
    detect-tl weights fetch yolo11n
    detect-tl weights fetch yolov8s-seg --to weights
    """,
)
@click.argument("name")
@click.option("--to", type=PATH, metavar="DIR", help="Folder to put it in.  [default: the cache]")
@trust_option
@pass_output
def fetch_command(console: Output, name: str, to: Path | None, trust: bool) -> None:
    """Download official weights by NAME; resumed when it broke off, whole or not at all."""
    result = api.weights_fetch(name, to=to, trust=trust, progress=console.progress)
    console.show(result, _describe_file)


@verb(
    "path",
    """
    detect-tl weights path yolo11n
    """,
)
@click.argument("name")
@trust_option
@pass_output
def path_command(console: Output, name: str, trust: bool) -> None:
    """Print the file that NAME stands for; it is downloaded when it is not on this machine."""
    result = api.weights_path(name, trust=trust, progress=console.progress)
    console.show(result, lambda found: [str(found.located.path)])


for _part in (list_command, info_command, fetch_command, path_command):
    command.add_command(_part)


def _describe_list(result: WeightsList) -> Iterator[Piece]:
    rows = []
    for row in result.rows:
        entry = row.entry
        absent = "not in this installation" if entry.embedded else "to be downloaded"
        where = f"{row.path} ({row.origin})" if row.path else absent
        if row.matches is False:
            where += ", not the official file"
        rows.append(
            (
                entry.name,
                entry.task,
                entry.trained_on,
                _mega(entry.parameters),
                _mega(entry.size),
                where,
            )
        )
    head = ("name", "task", "trained on", "parameters", "size", "file")
    yield Table(head, rows, right=("parameters", "size"))


def _mega(value: int | None) -> str:
    return "-" if value is None else f"{value / _MEGA:.1f} M"


def _describe_info(result: WeightsInfo) -> Iterator[Piece]:
    if result.row:
        entry = result.row.entry
        yield f"{entry.name}: {entry.family}, {entry.task}, trained on {entry.trained_on}"
        yield f"licence: {entry.licence}"
        if entry.url:
            yield f"published: {entry.url}"
        if entry.sha256:
            yield f"official SHA-256: {entry.sha256}"
    yield f"file: {result.file or 'not on this machine'}"
    if result.file:
        yield f"SHA-256: {result.sha256} ({result.recognised})"
    if result.model:
        classes = result.model["classes"]
        shown = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
        yield f"task: {result.model['task']}; {_mega(result.model['parameters'])} parameters"
        yield f"classes: {len(classes)} ({shown})"
        for key, value in result.model["facts"].items():
            yield f"{key}: {value}"


def _describe_file(result: WeightsFile) -> Iterator[Piece]:
    found = result.located
    checked = "the official file, by its SHA-256" if found.verified else "not verified"
    yield f"{found.path} ({checked})"
