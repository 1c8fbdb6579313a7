"""`detect-tl merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.cli.describe import folder_pieces
from detect_tl.cli.options import PATH, reading_options, verb, writing_options
from detect_tl.cli.output import Output, pass_output
from detect_tl.cli.params import NEW_NAMES


@verb(
    "merge",
    """
    detect-tl merge my-pictures datasets/other datasets/both
    detect-tl merge a b c datasets/all --map sedan=car,van=car
    """,
)
@click.argument("sources", type=PATH, nargs=-1, required=True)
@click.argument("destination", type=PATH)
@click.option(
    "--map",
    "same",
    type=NEW_NAMES,
    help="Classes that become others, such as sedan=car; or a YAML file.",
)
@reading_options
@writing_options
@pass_output
def command(console: Output, sources: tuple[Path, ...], destination: Path, **options: Any) -> None:
    """Make several data sets one: classes united by name, images that are the same kept once.

    SOURCES are folders or annotation files in any known formats; DESTINATION is a new dataset
    folder with their splits. Where two of them disagree on an object, the one named first is
    right, and a finding says so. provenance.json tells where each image came from.
    """
    result = api.merge(sources, destination, progress=console.progress, **options)
    console.show(result, folder_pieces)
