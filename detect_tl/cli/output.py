"""What a command prints: one JSON document or text on stdout, talk on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import click

from detect_tl.core.progress import Progress, Silent


class HasJson(Protocol):
    def as_json(self) -> Any: ...


R = TypeVar("R", bound=HasJson)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under a header; columns named in `right` are numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    right: Sequence[str] = ()


Piece = str | Table


class Output:
    """Where a command's words go, as `--json` and `--quiet` ask for."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self._progress: Progress | None = None

    @property
    def progress(self) -> Progress:
        """Bars on stderr; nothing with `--quiet`."""
        if self._progress is None:
            self._progress = Silent() if self.quiet else _bars()
        return self._progress

    def show(self, result: R, describe: Callable[[R], Iterable[Piece]]) -> None:
        """Print a result: its JSON, or the pieces that `describe` makes of it."""
        if self.json:
            print_json(result.as_json())
            return
        before: Piece | None = None
        for piece in describe(result):
            if before is not None and (isinstance(before, Table) or isinstance(piece, Table)):
                click.echo()
            click.echo(piece if isinstance(piece, str) else _drawn(piece))
            before = piece

    def note(self, text: str) -> None:
        """Say something to a person that is not part of the result."""
        if not self.quiet:
            click.echo(text, err=True)


_pass_output = click.make_pass_decorator(Output)


def pass_output(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command its `Output` as first argument."""
    return _pass_output(function)


def print_json(value: Any) -> None:
    """Print one indented JSON document to stdout."""
    from detect_tl.core.files import encode_json

    click.echo(encode_json(value).decode(), nl=False)


def _bars() -> Progress:
    from detect_tl.cli.progress import progress_on_stderr

    return progress_on_stderr()


def _drawn(table: Table) -> str:
    """The table as text as wide as the terminal, or as wide as it needs to be in a pipe."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        box=SIMPLE_HEAD, title=table.title or None, title_justify="left", pad_edge=False
    )
    for name in table.header:
        drawn.add_column(name, justify="right" if name in table.right else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else 1000, highlight=False)
    with console.capture() as captured:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")
