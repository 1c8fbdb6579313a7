"""`detect-tl show`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.viewing import ShowResult
from detect_tl.cli.describe import findings_lines
from detect_tl.cli.options import PATH, reading_options, verb
from detect_tl.cli.output import Output, Piece, pass_output
from detect_tl.cli.params import CommaList
from detect_tl.core.splits import SPLITS
from detect_tl.core.words import counted


@verb(
    "show",
    """
    detect-tl show my-pictures
    detect-tl show my-pictures --out sheet.jpg --count 9
    detect-tl show datasets/mine --out pictures --class cat,dog --split val --seed 1
    """,
)
@click.argument("data", type=PATH)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR|FILE",
    help="A new folder for the pictures, or a .jpg or .png for all on one sheet.  "
    "[default: a window; without a display, the folder pictures]",
)
@click.option(
    "--image",
    "images",
    type=CommaList("NAMES"),
    default=(),
    help="Only images called like this; * stands for anything.",
)
@click.option(
    "--class", "classes", type=CommaList("NAMES"), default=(), help="Only images with one of these."
)
@click.option("--split", type=click.Choice(SPLITS), help="Only images of this split.")
@click.option(
    "--count", type=click.IntRange(min=1), default=16, show_default=True, help="Images at most."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Draw images at random.  [default: such that show every class]",
)
@reading_options
@pass_output
def command(console: Output, data: Path, **options: Any) -> None:
    """Draw boxes and masks on pictures.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder.
    Crowds are hatched. In a window any key shows the next picture, and q ends.
    """
    result = api.show(data, progress=console.progress, **options)
    console.show(result, _describe)


def _describe(result: ShowResult) -> Iterator[Piece]:
    yield from findings_lines(result.report)
    pictures = counted(result.shown, "picture")
    yield f"{pictures}: {result.out}" if result.out else f"{pictures} shown"
