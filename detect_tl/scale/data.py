"""Checking and converting data sets of millions of images on the nodes of a Ray cluster.

What comes out is what the same calls of `api` give without Ray, to the byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detect_tl import api
from detect_tl.api.checking import CheckResult
from detect_tl.api.data import ConvertResult
from detect_tl.scale.spread import on_ray


def check(data: Path, *, address: str | None = None, **options: Any) -> CheckResult:
    """`api.check`, with images decoded and compared by tasks of Ray.

    WebDataset shards are also read by them, each by one, and the whole set is nowhere in memory;
    annotations of other formats are read here. address: see `connected`.
    Raises what `api.check` raises, and MachineError where Ray cannot be used.
    """
    data = Path(data)
    with on_ray(address, [data], options.get("progress")):
        return api.check(data, **options)


def convert(
    source: Path, destination: Path, *, address: str | None = None, **options: Any
) -> ConvertResult:
    """`api.convert`, with shards read, images placed, and labels and shards written by tasks.

    address: see `connected`. Raises what `api.convert` raises, and MachineError where Ray cannot
    be used.
    """
    source, destination = Path(source), Path(destination)
    with on_ray(address, [source, destination], options.get("progress")):
        return api.convert(source, destination, **options)
