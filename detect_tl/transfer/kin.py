"""Which known class a new one is a kind of, or another name for: a sedan is a car.

The table that ships is about the classes of COCO; a file of the user's own goes before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import orjson

from detect_tl.core.errors import DataError
from detect_tl.core.yaml_files import read_yaml

Kin = Mapping[str, str]
"""By a name without case, spaces and hyphens: the class that lends its rows."""


def bare(name: str) -> str:
    """A name without what people write differently: case, spaces, hyphens, underscores."""
    return "".join(name.casefold().replace("-", " ").replace("_", " ").split())


@cache
def shipped_kin() -> Kin:
    """The table that comes with the package."""
    text = files("detect_tl.transfer").joinpath("kin.json").read_bytes()
    table: dict[str, list[str]] = orjson.loads(text)
    return {bare(name): known for known, names in table.items() for name in names}


def read_kin(path: Path | None) -> Kin:
    """The shipped table, with the names of a YAML file before it: `sedan: car`, one a line.

    Raises DataError for a file that is no such mapping.
    """
    if path is None:
        return shipped_kin()
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(known, str) for name, known in content.items()
    ):
        raise DataError(
            "not a table of classes: it must say of a new class which known one it is like",
            path=path,
            hint="For example a line `sedan: car`.",
        )
    return {**shipped_kin(), **{bare(name): known for name, known in content.items()}}
