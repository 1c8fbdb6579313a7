"""`detect-tl convert`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl import api
from detect_tl.api.data import ConvertResult
from detect_tl.cli.describe import chosen, count_lines, counts_table, findings_lines
from detect_tl.cli.options import (
    PATH,
    engine_options,
    group_option,
    reading_options,
    seed_option,
    split_option,
    verb,
    writing_options,
)
from detect_tl.cli.output import Output, Piece, pass_output


@verb(
    "convert",
    """
    detect-tl convert my-pictures datasets/mine
    detect-tl convert annotations.json datasets/mine --split 0.7,0.2,0.1 --link hard
    detect-tl convert my-pictures datasets/mine --from labelme --to yolo --task detect
    detect-tl convert my-pictures datasets/shards --to webdataset --shard-size 500MB --engine ray
    """,
)
@click.argument("source", type=PATH)
@click.argument("destination", type=PATH)
@reading_options
@split_option
@group_option
@seed_option
@writing_options
@engine_options
@pass_output
def command(
    console: Output,
    source: Path,
    destination: Path,
    engine: str,
    address: str | None,
    **options: Any,
) -> None:
    """Turn annotations into a dataset folder that YOLO and COCO tools read.

    SOURCE is a folder of images with their annotations, or one annotation file. DESTINATION
    appears whole or not at all; it holds data.yaml, images/, labels/, annotations/ and a report
    of what was read, changed and lost. With --engine ray, images are placed, and labels and shards
    written, by all nodes of a Ray cluster, which have to see the same files.
    """
    if engine == "ray":
        from detect_tl.scale import data

        options["address"] = address
        result = data.convert(source, destination, progress=console.progress, **options)
    else:
        result = api.convert(source, destination, progress=console.progress, **options)
    console.show(result, _describe)


def _describe(result: ConvertResult) -> Iterator[Piece]:
    yield chosen(result.explanation)
    yield from findings_lines(result.report, ("error", "warning"))
    yield counts_table(result.classes)
    yield from count_lines(result.report)
    images = ", ".join(f"{split} {count}" for split, count in result.splits.items())
    yield f"images: {images} ({result.split_reason})"
    yield f"written: {result.data_yaml if result.data_yaml.is_file() else result.folder}"
