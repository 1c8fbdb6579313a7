"""`detect-tl stats`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detect_tl import api
from detect_tl.api.viewing import StatsResult
from detect_tl.cli.options import PATH, reading_options, verb
from detect_tl.cli.output import Output, Piece, Table, pass_output
from detect_tl.core.words import counted

if TYPE_CHECKING:
    from detect_tl.curate.overview import Overview

_BAR = 30  # letters
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SHADES = " ░▒▓█"


@verb(
    "stats",
    """
    detect-tl stats my-pictures
    detect-tl stats datasets/mine --json
    """,
)
@click.argument("data", type=PATH)
@reading_options
@pass_output
def command(console: Output, data: Path, **options: Any) -> None:
    """Count images and objects, and measure their sizes, shapes and places.

    DATA is a folder of images with their annotations, an annotation file, or a dataset folder.
    """
    result = api.stats(data, progress=console.progress, **options)
    console.show(result, _describe)


def _describe(result: StatsResult) -> Iterator[Piece]:
    figures = result.overview
    crowds = f", {figures.crowds} of them crowds" if figures.crowds else ""
    yield f"{result.data}: {result.format}"
    yield (
        f"{counted(figures.images, 'image')}, {counted(figures.objects, 'object')}{crowds}, "
        f"{counted(len(figures.classes), 'class', 'classes')}"
    )
    yield _splits(figures)
    yield _classes(figures)
    yield _histogram("area (COCO: 32², 96² pixels)", figures.sizes)
    yield _histogram("length of objects, in lengths of their image", figures.lengths)
    yield _histogram("width to height", figures.ratios)
    yield _histogram("objects on an image", figures.objects_per_image)
    yield (
        f"on average {figures.objects_per_image_mean:.1f} objects on an image, "
        f"median {figures.objects_per_image_median:g}"
    )
    yield _histogram("what says where an object is", figures.masks)
    yield _histogram("size of images, pixels", figures.image_sizes)
    yield _places(figures)


def _splits(figures: Overview) -> Table:
    rows = [
        (name, *(str(row[key]) for key in ("images", "objects", "without_objects")))
        for name, row in figures.splits.items()
    ]
    header = ("split", "images", "objects", "without objects")
    return Table(header, rows, right=header[1:])


def _classes(figures: Overview) -> Table:
    splits = list(next(iter(figures.classes.values())).splits) if figures.classes else []
    several = splits if len(splits) > 1 else []
    most = max((one.objects for one in figures.classes.values()), default=0)
    rows = [
        (
            name,
            str(one.images),
            str(one.objects),
            *(str(one.splits[split]) for split in several),
            *(str(one.sizes[size]) for size in figures.sizes),
            _bar(one.objects, most),
        )
        for name, one in figures.classes.items()
    ]
    numbers = ("images", "objects", *several, *figures.sizes)
    return Table(("class", *numbers, ""), rows, right=numbers)


def _histogram(title: str, counts: Mapping[str, int]) -> Table:
    total, most = sum(counts.values()), max(counts.values(), default=0)
    rows = [
        (label, str(count), f"{count / total:.0%}" if total else "", _bar(count, most))
        for label, count in counts.items()
    ]
    return Table(("", "count", "share", " "), rows, title, right=("", "count", "share"))


def _places(figures: Overview) -> Table:
    """A map of the image: the darker a cell, the more objects have their centre in it."""
    most = max(max(row) for row in figures.places)
    rows = []
    for row in figures.places:
        shades = [_SHADES[-(-count * (len(_SHADES) - 1) // most) if most else 0] for count in row]
        rows.append((*(str(count) for count in row), "".join(shade * 4 for shade in shades)))
    header = [f"{k * 100 // len(rows)}%" for k in range(len(rows))]
    return Table((*header, ""), rows, "centres of objects, from left and top", right=header)


def _bar(count: int, most: int) -> str:
    """A bar as long as `count` is against `most`, to an eighth of a letter."""
    eighths = round(count / most * _BAR * 8) if most else 0
    if count and not eighths:
        eighths = 1
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
