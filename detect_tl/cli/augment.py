"""`detect-tl augment list | show | preview`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.augmentation import AugmentationsResult, PreviewResult
from detect_tl.cli.options import PATH, CommandGroup, reading_options, seed_option, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output


@click.group("augment", cls=CommandGroup)
def command() -> None:
    """See what augmentations do to pictures.

    An augmentation is a name (see `augment list`) or a YAML file with transforms of
    albumentations; `augment show` prints one to start from, and `train --augment` trains with it.
    """


@verb(
    "list",
    """
    detect-tl augment list
    """,
)
@pass_output
def list_command(console: Output) -> None:
    """List the augmentations that can be named."""
    console.show(api.augment_list(), _describe_list)


@verb(
    "show",
    """
    detect-tl augment show default > mine.yaml
    detect-tl augment show mine.yaml
    """,
)
@click.argument("augmentation")
@pass_output
def show_command(console: Output, augmentation: str) -> None:
    """Print AUGMENTATION, a name or a YAML file, as YAML, with every parameter checked."""
    console.show(api.augment_show(augmentation), lambda found: [found.as_yaml().rstrip()])


@verb(
    "preview",
    """
    detect-tl augment preview my-pictures
    detect-tl augment preview datasets/mine --augment heavy --count 6 --out heavy.html
    """,
)
@click.argument("data", type=PATH)
@click.option(
    "--augment",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="Name of an augmentation, or a YAML file.",
)
@click.option(
    "--count", type=click.IntRange(min=1), default=4, show_default=True, help="Pictures to show."
)
@click.option(
    "--views",
    type=click.IntRange(min=1, max=100),
    default=4,
    show_default=True,
    help="Augmented views of each.",
)
@click.option(
    "--imgsz",
    type=click.IntRange(min=32),
    default=640,
    show_default=True,
    help="Longest side that pictures are reduced to first, as for training.",
)
@seed_option
@reading_options
@click.option(
    "--out",
    type=PATH,
    default=Path("augmented.png"),
    show_default=True,
    metavar="FILE",
    help="Picture (.png, .jpg) or page (.html) to write.",
)
@pass_output
def preview_command(console: Output, data: Path, **options: Any) -> None:
    """Draw pictures of DATA, and beside each how an augmentation changes it.

    Boxes and masks are drawn as training would see them. An object is dropped when less than a
    tenth of its box, or nothing of its mask, is left in the picture.
    """
    result = api.augment_preview(data, progress=console.progress, **options)
    console.show(result, _describe_preview)


for _part in (list_command, show_command, preview_command):
    command.add_command(_part)


def _describe_list(result: AugmentationsResult) -> Iterator[Piece]:
    yield Table(("name", "what it does"), [(a.name, a.description) for a in result.augmentations])


def _describe_preview(result: PreviewResult) -> Iterator[Piece]:
    yield (
        f"{result.pictures} pictures, {result.views} views of each with {result.augmentation.name}:"
        f" {result.objects} objects, {result.dropped} dropped"
    )
    yield f"written: {result.path}"
