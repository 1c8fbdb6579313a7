"""`detect-tl formats`."""

from __future__ import annotations

from collections.abc import Iterator

from detect_tl import api
from detect_tl.api.data import FormatsResult
from detect_tl.cli.options import verb
from detect_tl.cli.output import Output, Piece, Table, pass_output


@verb(
    "formats",
    """
    detect-tl formats
    detect-tl formats --json
    """,
)
@pass_output
def command(console: Output) -> None:
    """List the annotation formats that are understood, built in and from plug-ins."""
    console.show(api.formats(), _describe)


def _describe(result: FormatsResult) -> Iterator[Piece]:
    rows = [
        (item.name, item.title, "yes" if item.writes else "no", item.description)
        for item in result.formats
    ]
    yield Table(("name", "format", "written too", "what it is"), rows)
