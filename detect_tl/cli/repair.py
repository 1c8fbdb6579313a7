"""`detect-tl repair`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.curation import RepairResult
from detect_tl.cli.describe import count_lines, findings_lines, folder_lines
from detect_tl.cli.options import PATH, reading_options, verb, writing_options
from detect_tl.cli.output import Output, Piece, pass_output
from detect_tl.cli.params import NEW_NAMES
from detect_tl.core.errors import UsageError
from detect_tl.core.words import counted


@verb(
    "repair",
    """
    detect-tl repair my-pictures --plan
    detect-tl repair my-pictures datasets/mended
    detect-tl repair my-pictures datasets/mended --unite-classes Cats=Cat
    """,
)
@click.argument("data", type=PATH)
@click.argument("destination", type=PATH, required=False)
@click.option(
    "--plan", "--dry-run", "plan", is_flag=True, help="Say what would be done; write nothing."
)
@click.option(
    "--unite-classes",
    type=NEW_NAMES,
    help="Classes that become others, such as Cats=Cat; or a YAML file.",
)
@reading_options
@writing_options
@pass_output
def command(
    console: Output, data: Path, destination: Path | None, *, plan: bool, **options: Any
) -> None:
    """Mend what has one right answer, and list what has not; the source stays as it is.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder.
    DESTINATION is a new dataset folder with the splits of DATA. Mended are: corners in the wrong
    order, boxes and outlines beyond the image, objects without an area, objects and images that
    are there twice, boxes that are off their mask, outlines that cross themselves, objects drawn
    on a picture as it is stored and not as it is shown, placeholder classes, wrong extensions,
    and JPEGs that lack only their end mark.
    """
    if destination is None and not plan:
        raise UsageError(
            "repair needs a folder to write to", hint="Name a new folder, or ask for --plan only."
        )
    place = None if plan else destination
    result = api.repair(data, place, progress=console.progress, **options)
    console.show(result, _describe)


def _describe(result: RepairResult) -> Iterator[Piece]:
    yield from findings_lines(result.read, ("error", "warning"))
    done = "mended" if result.written else "to be mended"
    total = len(result.mended.findings)
    yield f"{counted(total, 'finding')} {done}" + (":" if total else "")
    yield from findings_lines(result.mended)
    yield from count_lines(result.mended)
    left = len(result.left.findings)
    if left:
        yield f"{left} left as they are, because there is no one right answer:"
        yield from findings_lines(result.left)
    else:
        yield "no errors or warnings are left"
    if result.written:
        yield from folder_lines(result.written)
