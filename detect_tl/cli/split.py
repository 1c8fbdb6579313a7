"""`detect-tl split`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.api.curation import SplitResult
from detect_tl.cli.describe import findings_lines, folder_lines
from detect_tl.cli.options import (
    PATH,
    group_option,
    reading_options,
    seed_option,
    verb,
    writing_options,
)
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import SPLIT_SIZES
from detect_tl.core.errors import UsageError
from detect_tl.core.words import counted

if TYPE_CHECKING:
    from detect_tl.curate.balance import Balance


@verb(
    "split",
    r"""
    detect-tl split my-pictures datasets/mine --split 0.7,0.2,0.1
    detect-tl split my-pictures datasets/mine --split 300,40,24 --seed 1
    detect-tl split my-pictures datasets/mine --group-by 'patient(\d+)'
    detect-tl split my-pictures datasets/folds --folds 5 --link hard
    """,
)
@click.argument("data", type=PATH)
@click.argument("destination", type=PATH)
@click.option(
    "--split",
    "sizes",
    type=SPLIT_SIZES,
    help="Shares of the splits, or numbers of images.  [default: 0.8,0.1,0.1]",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Write so many data sets, in each of which another part of the images is val.",
)
@group_option
@seed_option
@reading_options
@writing_options
@pass_output
def command(
    console: Output, data: Path, destination: Path, *, folds: int | None, **options: Any
) -> None:
    """Divide a data set anew: classes alike, images that look alike never apart.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder;
    the splits it has are given up. DESTINATION is a new dataset folder, or, with --folds, a
    folder of them.
    """
    sizes = options.pop("sizes")
    if sizes is not None and folds is not None:
        raise UsageError("--split and --folds exclude each other", hint="Give one of them.")
    if sizes is not None:
        options["sizes"] = sizes
    result = api.split(data, destination, folds=folds, progress=console.progress, **options)
    console.show(result, _describe)


def _describe(result: SplitResult) -> Iterator[Piece]:
    told: set[Piece] = set()
    for written, balance in zip(result.written, result.balances, strict=True):
        # What reading noticed is the same for every fold.
        lines = [*findings_lines(written.report, ("error", "warning"))]
        yield from (line for line in lines if line not in told)
        told.update(lines)
        yield _table(balance, written.split_reason, written.splits)
        worst = balance.worst
        if worst is not None:
            name, share = worst
            yield (
                f"classes are off the wanted shares by {balance.mean:.1%} on average, at most by "
                f"{share:.1%} ({name}, {counted(written.classes[name], 'object')})"
            )
        yield from folder_lines(written)


def _table(balance: Balance, title: str, images: dict[str, int]) -> Table:
    """The share of every split, wanted and reached, for images and each class."""
    splits = list(balance.wanted)
    rows = [
        ("wanted", *(f"{balance.wanted[s]:.1%}" for s in splits), ""),
        ("images", *(f"{images.get(s, 0)} ({balance.images[s]:.1%})" for s in splits), ""),
    ]
    for name, shares in balance.classes.items():
        off = balance.deviations[name]
        rows.append((name, *(f"{shares[s]:.1%}" for s in splits), f"{off:.1%}"))
    return Table(("", *splits, "off by"), rows, title, right=(*splits, "off by"))
