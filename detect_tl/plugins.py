"""The door through which formats, strategies, backends and sinks come in, built-in ones included.

A package offers a plugin as an entry point of one of the groups below; it is imported only when
its name is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar

from detect_tl.core.errors import DetectTLError, MachineError, UsageError, did_you_mean

T = TypeVar("T")

Group = Literal[
    "detect_tl.formats",
    "detect_tl.strategies",
    "detect_tl.augmentations",
    "detect_tl.backends",
    "detect_tl.sinks",
]


@cache
def _installed() -> Any:
    """Of all packages: one look at them takes longer than all that is asked of it."""
    return entry_points()


@cache
def _points(group: Group) -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(_installed().select(group=group))}


def names(group: Group) -> list[str]:
    """Names on offer in a group, sorted; nothing is imported."""
    return list(_points(group))


def load(group: Group, name: str) -> Any:
    """Import one plugin by name.

    Raises UsageError for an unknown name, MachineError when the plugin cannot be imported.
    """
    points = _points(group)
    if name not in points:
        several = group.rpartition(".")[2]
        kind = f"{several[:-3]}y" if several.endswith("ies") else several.removesuffix("s")
        raise UsageError(f"unknown {kind} {name!r}", hint=did_you_mean(name, points))
    point = points[name]
    try:
        return point.load()
    except DetectTLError:
        raise
    except Exception as error:
        raise MachineError(
            f"the plugin {name!r} ({point.value}) cannot be loaded: {error}",
            hint="Install what it needs, or uninstall the package it came with.",
        ) from error


def load_as(group: Group, name: str, kind: type[T]) -> T:
    """Import one plugin by name; raise MachineError also when it is none of the right kind."""
    loaded = load(group, name)
    if not isinstance(loaded, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise MachineError(
            f"the plugin {name!r} offers a {type(loaded).__name__}, not {article} {kind.__name__}",
            hint=f"Its entry point must name a {kind.__module__}.{kind.__qualname__}.",
        )
    return loaded
