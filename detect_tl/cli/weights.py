"""`detect-tl weights list | info | fetch | path | rank`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.ranking import DEPTHS, IMAGES
from detect_tl.api.weights import WeightsFile, WeightsInfo, WeightsList
from detect_tl.cli.options import (
    PATH,
    CommandGroup,
    device_option,
    reading_options,
    seed_option,
    trust_option,
    verb,
)
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import CommaList
from detect_tl.evaluation.ranking import Candidate, Ranking

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


@verb(
    "rank",
    """
    detect-tl weights rank my-pictures
    detect-tl weights rank datasets/mine yolo11n yolov8n runs/other random --imgsz 320
    detect-tl weights rank datasets/mine --depths neck,backbone --json
    """,
)
@click.argument("data", type=PATH)
@click.argument("weights", nargs=-1)
@click.option(
    "--depths",
    type=CommaList("LAYERS"),
    default=",".join(DEPTHS),
    show_default=True,
    help="What might stay frozen, as for `train --freeze`, with commas between.",
)
@click.option(
    "--images",
    type=click.IntRange(min=2),
    default=IMAGES,
    show_default=True,
    help="Training images to look at, at most.",
)
@click.option(
    "--imgsz",
    type=click.IntRange(min=32),
    default=640,
    show_default=True,
    help="Side of the input in pixels, a multiple of 32.",
)
@seed_option
@reading_options
@device_option
@trust_option
@pass_output
def rank_command(console: Output, data: Path, weights: tuple[str, ...], **settings: Any) -> None:
    """Say which WEIGHTS to start from for DATA, and what to freeze, without training.

    WEIGHTS are names, run folders, .pt files, or "random" for a control; all that are on this
    machine when none are named. Each looks once at some training images. Its score is the mAP50-95
    of its own boxes after classes were imprinted from half of these images, on the other half. For
    every depth, a linear probe of the features there tells how well they name objects and find
    their edges, 0 to 1. It is a hint: it tells good weights from bad, not the best of the good.
    """
    result = api.weights_rank(data, weights, progress=console.progress, **settings)
    for name, reason in result.left_out.items():
        console.note(f"{name} is left out: {reason}")
    console.show(result, _describe_rank)


for _part in (list_command, info_command, fetch_command, path_command, rank_command):
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


def _describe_rank(result: Ranking) -> Iterator[Piece]:
    depths = [f"freeze {depth.name}" for depth in result.candidates[0].depths]
    head = ("weights", "parameters", "score", *depths, "known classes", "seconds")
    rows = [_ranked(candidate) for candidate in result.candidates]
    yield Table(head, rows, right=("parameters", "score", *depths, "seconds"))
    yield (
        f"seen: {result.images} images with {result.objects} objects at {result.imgsz} px, in"
        f" {result.seconds:.1f} s"
    )
    yield "score: mAP50-95 before any training; depths: probe of classes / of edges, 0 to 1"
    yield f"verdict: {result.verdict}"


def _ranked(candidate: Candidate) -> tuple[str, ...]:
    probes = (f"{depth.classes:.2f} / {depth.boxes:.2f}" for depth in candidate.depths)
    return (
        candidate.name,
        _mega(candidate.parameters),
        f"{candidate.score:.3f}",
        *probes,
        ", ".join(candidate.known) or "-",
        f"{candidate.seconds:.1f}",
    )


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
