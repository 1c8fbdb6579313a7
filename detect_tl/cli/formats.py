"""`detect-tl formats`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from detect_tl import api
from detect_tl.api.data import FormatsResult
from detect_tl.cli.options import PATH, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.core.errors import UsageError


@verb(
    "formats",
    """
    detect-tl formats
    detect-tl formats yolo voc
    detect-tl formats --of my-pictures
    """,
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--of", "data", type=PATH, metavar="DATA", help="Say which of them DATA is in, and why."
)
@pass_output
def command(console: Output, names: tuple[str, ...], data: Path | None) -> None:
    """List the annotation formats that are understood, built in and from plug-ins.

    Says which can be written too, and what each of these cannot keep; a conversion counts how
    often that happened. With NAMES, only these formats.
    """
    if data is None:
        console.show(api.formats(*names), _describe)
    elif names:
        raise UsageError("names of formats were given beside --of", hint="Leave out one of them.")
    else:
        console.show(api.formats_of(data), lambda found: [found.explanation])


def _describe(result: FormatsResult) -> Iterator[Piece]:
    rows = [
        (
            item.name,
            item.title,
            "read, written" if item.writes else "read",
            item.description,
        )
        for item in result.formats
    ]
    yield Table(("name", "format", "can be", "what it is"), rows)
    for item in result.formats:
        if item.options:
            yield f"{item.title} understands {', '.join(f'--{name}' for name in item.options)}."
    for item in result.formats:
        if item.losses:
            yield f"\nWhat {item.title} cannot keep when it is written:"
            yield from (f"  - {loss}" for loss in item.losses)
