"""`detect-tl check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.checking import CheckListResult, CheckResult, Group
from detect_tl.cli.describe import chosen, counts_table
from detect_tl.cli.options import PATH, engine_options, reading_options, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.cli.params import CommaList
from detect_tl.core.errors import UsageError
from detect_tl.core.findings import Finding
from detect_tl.core.words import counted

_MOST_EXAMPLES = 3

_IDS = CommaList("ID,ID")


@verb(
    "check",
    """
    detect-tl check my-pictures
    detect-tl check datasets/mine --strict --json
    detect-tl check my-pictures --only box,split.leak --skip box.tiny
    detect-tl check my-pictures --report check.html
    detect-tl check datasets/shards --engine ray
    detect-tl check --list
    detect-tl check --explain box.duplicate
    """,
)
@click.argument("data", type=PATH, required=False)
@click.option("--only", type=_IDS, default=(), help="Run these; box stands for all of box.…")
@click.option("--skip", type=_IDS, default=(), help="Leave these out.")
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings too.")
@click.option(
    "--imgsz",
    type=click.IntRange(min=32),
    help="Side in pixels that training will scale images to.  [default: 640]",
)
@click.option(
    "--fast", is_flag=True, help="Do not decode images, nor look for those that look alike."
)
@click.option(
    "--report",
    "page",
    type=PATH,
    metavar="FILE.html",
    help="Write a page too: plots, and a picture of what each finding is about.",
)
@click.option("--list", "listed", is_flag=True, help="Show all checks, and check nothing.")
@click.option("--explain", metavar="ID", help="Show what a check looks for, and why.")
@reading_options
@engine_options
@pass_output
@click.pass_context
def command(
    ctx: click.Context,
    /,
    console: Output,
    *,
    data: Path | None,
    listed: bool,
    explain: str | None,
    fast: bool,
    engine: str,
    address: str | None,
    **options: Any,
) -> None:
    """Look for mistakes in annotations and images: nothing is changed.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder.
    Exit code 1 when there are errors, 0 when there are warnings at most. With --engine ray, images
    are looked at by all nodes of a Ray cluster, which have to see the same files.
    """
    if explain:
        console.show(api.check_list([explain]), _explained)
    elif listed:
        console.show(api.check_list(), _listed)
    elif data is None:
        raise UsageError(
            "no data was named", hint="For example detect-tl check my-pictures, or --list."
        )
    else:
        options |= {"decode": not fast, "progress": console.progress}
        result = (
            _check_on_ray(data, address, options) if engine == "ray" else api.check(data, **options)
        )
        console.show(result, _describe)
        ctx.exit(1 if result.failed else 0)


def _check_on_ray(data: Path, address: str | None, options: dict[str, Any]) -> CheckResult:
    from detect_tl.scale import data as room

    return room.check(data, address=address, **options)


def _describe(result: CheckResult) -> Iterator[Piece]:
    yield f"{result.data}: {chosen(result.explanation)}"
    yield counts_table(result.classes)
    for group in result.groups():
        yield from _grouped(group, result.data)
    seen = f"{counted(result.images, 'image')}, {counted(sum(result.classes.values()), 'object')}"
    if result.page:
        yield f"report: {result.page}"
    yield f"{seen}: {counted(result.errors, 'error')}, {counted(result.warnings, 'warning')}"


def _grouped(group: Group, data: Path) -> Iterator[Piece]:
    """The id with its number and consequence once, and the first few places."""
    count = len(group.findings)
    times = f" ({count} times)" if count > 1 else ""
    consequence = f". {group.consequence}" if group.consequence else ""
    yield f"{group.severity}: {group.id}{times}{consequence}"
    for finding in group.findings[:_MOST_EXAMPLES]:
        yield f"    {_place(finding, data)}{finding.message}"
    if count > _MOST_EXAMPLES:
        yield f"    … and {count - _MOST_EXAMPLES} more"


def _place(finding: Finding, data: Path) -> str:
    """The file as seen from the data, and the line; "" for what concerns all of it."""
    if finding.path is None:
        return ""
    inside = finding.path.is_relative_to(data) and finding.path != data
    path = finding.path.relative_to(data) if inside else finding.path
    return f"{path}:{finding.line}: " if finding.line else f"{path}: "


def _listed(result: CheckListResult) -> Iterator[Piece]:
    rows = [
        (
            each.id,
            each.severity,
            each.what,
            ", ".join(value for _, value, _ in each.thresholds),
            each.consequence,
        )
        for each in result.checks
    ]
    yield Table(("id", "severity", "what", "threshold", "if it stays"), rows)


def _explained(result: CheckListResult) -> Iterator[Piece]:
    for each in result.checks:
        yield f"{each.id} ({each.severity})"
        yield f"What: {each.what}."
        yield f"If it stays: {each.consequence}"
        for name, value, reason in each.thresholds:
            yield f"Threshold {name}: {value}; {reason}."
        if not each.runs:
            yield "It is noticed while annotations are read."
