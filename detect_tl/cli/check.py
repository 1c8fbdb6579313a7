"""`detect-tl check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.data import CheckResult
from detect_tl.cli.describe import counts_table, findings_lines
from detect_tl.cli.options import PATH, reading_options, verb
from detect_tl.cli.output import Output, Piece, pass_output


@verb(
    "check",
    """
    detect-tl check my-pictures
    detect-tl check datasets/mine --json
    """,
)
@click.argument("data", type=PATH)
@reading_options
@pass_output
@click.pass_context
def command(ctx: click.Context, /, console: Output, data: Path, **reading: Any) -> None:
    """Look for mistakes in annotations: nothing is changed.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder.
    Exit code 1 when there are errors, 0 when there are warnings at most.
    """
    result = api.check(data, progress=console.progress, **reading)
    console.show(result, _describe)
    ctx.exit(1 if result.errors else 0)


def _describe(result: CheckResult) -> Iterator[Piece]:
    yield f"{result.data}: {result.explanation}"
    yield counts_table(result.classes)
    yield from findings_lines(result.report)
    yield (
        f"{result.images} images, {sum(result.classes.values())} objects: "
        f"{result.errors} errors, {result.warnings} warnings"
    )
