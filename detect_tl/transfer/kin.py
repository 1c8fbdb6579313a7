"""Which known class a new one is a kind of, or another name for: a sedan is a car.

The table that ships is about the classes of COCO; a file of the user's own goes before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from detect_tl.core.errors import DataError
from detect_tl.core.yaml_files import read_yaml

Kin = Mapping[str, str]
"""By a name without case, spaces and hyphens: the class that lends its rows."""


def bare(name: str) -> str:
    """A name without what people write differently: case, spaces, hyphens, underscores."""
    return "".join(name.casefold().replace("-", " ").replace("_", " ").split())


@dataclass(frozen=True, slots=True)
class Relatives:
    """The table that comes with the package; all names are bare, classes are those of COCO.

    same: class by another name for it. kinds: class by a name for some of its objects.
    alike: class by a name for what only looks like it; good enough to begin a training from.
    groups: classes by a name for several of them.
    """

    same: Kin
    kinds: Kin
    alike: Kin
    groups: Mapping[str, tuple[str, ...]]


@cache
def relatives() -> Relatives:
    """Read the table. What is in it is this package's own judgement, in the spirit of WordNet."""
    text = files("detect_tl.transfer").joinpath("kin.json").read_bytes()
    document: dict[str, dict[str, Any]] = orjson.loads(text)

    def of(relation: str) -> Kin:
        return {
            bare(name): known
            for known, related in document["classes"].items()
            for name in related.get(relation, ())
        }

    groups = {bare(name): tuple(several) for name, several in document["groups"].items()}
    return Relatives(of("same"), of("kinds"), of("alike"), groups)


def shipped_kin() -> Kin:
    """All that the table says of a name, in one: where a training may begin."""
    known = relatives()
    return {**known.alike, **known.kinds, **known.same}


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
