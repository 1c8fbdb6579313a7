"""`detect-tl resume`."""

from __future__ import annotations

from pathlib import Path

import click

from detect_tl import api
from detect_tl.cli.errors import resumable
from detect_tl.cli.options import PATH, verb
from detect_tl.cli.output import Output, pass_output
from detect_tl.cli.train import describe


@verb(
    "resume",
    """
    detect-tl resume runs/mine
    """,
)
@click.argument("run", type=PATH)
@pass_output
def command(console: Output, run: Path) -> None:
    """Continue a run that was interrupted.

    RUN is the folder that `detect-tl train --out` wrote. It goes on after the last finished epoch,
    to the same result as if nothing had happened.
    """
    with resumable(run / "config.json", f"Go on with `detect-tl resume {run}`."):
        result = api.resume(run, progress=console.progress)
    console.show(result, describe)
