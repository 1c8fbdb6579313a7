"""`detect-tl filter`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.cli.describe import folder_pieces
from detect_tl.cli.options import PATH, reading_options, verb, writing_options
from detect_tl.cli.output import Output, pass_output
from detect_tl.cli.params import CommaList
from detect_tl.core.splits import SPLITS

_NAMES = CommaList("NAMES")
_GLOBS = CommaList("GLOBS")


@verb(
    "filter",
    """
    detect-tl filter my-pictures datasets/cats --classes cat,kitten
    detect-tl filter datasets/mine datasets/large --min-size 16 --with-objects
    detect-tl filter datasets/mine datasets/one --images 'day1_*' --split train,val
    """,
)
@click.argument("data", type=PATH)
@click.argument("destination", type=PATH)
@click.option("--classes", type=_NAMES, default=(), help="Keep objects of these classes only.")
@click.option("--drop-classes", type=_NAMES, default=(), help="Leave out objects of these classes.")
@click.option(
    "--min-size",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="PIXELS",
    help="Leave out objects with a shorter side below this; crowds stay.",
)
@click.option(
    "--max-objects",
    type=click.IntRange(min=0),
    help="Leave out images with more objects, crowds not counted.",
)
@click.option(
    "--split",
    "splits",
    type=CommaList("SPLITS", SPLITS),
    default=(),
    help="Keep images of these splits only.",
)
@click.option("--images", type=_GLOBS, default=(), help="Keep images called like this only.")
@click.option("--drop-images", type=_GLOBS, default=(), help="Leave out images called like this.")
@click.option("--with-objects", is_flag=True, help="Leave out images on which no object is left.")
@reading_options
@writing_options
@pass_output
def command(console: Output, data: Path, destination: Path, **options: Any) -> None:
    """Keep a part of a data set; what is left out is counted by reason.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder.
    DESTINATION is a new dataset folder with the splits of DATA.
    """
    from detect_tl.curate.filter import Wanted

    wanted = Wanted(**{field.name: options.pop(field.name) for field in fields(Wanted)})
    result = api.filter(data, destination, wanted, progress=console.progress, **options)
    console.show(result, folder_pieces)
