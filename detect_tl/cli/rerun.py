"""`detect-tl rerun`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from detect_tl import api
from detect_tl.cli.options import PATH, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output

if TYPE_CHECKING:
    from detect_tl.api.rerunning import RerunResult


@verb(
    "rerun",
    """
    detect-tl rerun runs/mine
    detect-tl rerun runs/mine --out runs/mine-on-another-machine
    """,
)
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, help="Folder of the new run.  [default: RUN-again]")
@pass_output
@click.pass_context
def command(ctx: click.Context, console: Output, run: Path, out: Path | None) -> None:
    """Repeat a run, and say whether the result is the same.

    RUN is a finished run; it is not touched. Its settings, data set, augmentation and weights are
    used again; a change in these is refused. On another machine or with other versions the result
    may differ in its last digits. The exit code is 1 when it is not the same to the bit.
    """
    result = api.rerun(run, out, progress=console.progress)
    console.show(result, _describe)
    if not result.same:
        console.note(f"the result of {result.again.run} is not that of {result.run}")
        if not result.environment:
            console.note("both say the same of machine and versions")
        ctx.exit(1)


def _describe(result: RerunResult) -> Iterator[Piece]:
    before, now = ("-" if value is None else f"{value:.4f}" for value in result.scores)
    yield f"mAP50-95 {before} before, {now} now"
    yield "weights: " + ("the same to the bit" if result.same_weights else "not the same")
    if result.differs_from is not None:
        yield f"metrics differ from epoch {result.differs_from} on"
    if result.environment:
        rows = [(name, *map(str, values)) for name, values in result.environment.items()]
        yield Table(("what differs", "before", "now"), rows)
    yield f"run: {result.again.run}"
