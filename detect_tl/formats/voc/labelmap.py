"""labelmap.txt, in which CVAT declares classes and their colours: `name:r,g,b:parts:actions`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from detect_tl.formats.label_image import Colour
from detect_tl.formats.source import Source

_LINE = re.compile(r"(?P<name>.*):(?:(?P<r>\d+),(?P<g>\d+),(?P<b>\d+))?:[^:]*:[^:]*")


@dataclass(frozen=True, slots=True)
class LabelMap:
    """names: the classes in their order, the background left out. colours: class by colour."""

    names: list[str] = field(default_factory=list)
    colours: dict[Colour, str] = field(default_factory=dict)


def read_labelmap(source: Source) -> LabelMap:
    """The first labelmap.txt of the source; empty where there is none."""
    for path in source.files:
        if path.name.casefold() == "labelmap.txt":
            return _parsed(path.read_text("utf-8-sig", errors="replace"))
    return LabelMap()


def _parsed(text: str) -> LabelMap:
    found = LabelMap()
    for line in text.split("\n"):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            # a bare name, as other tools write this file; a comment is none
            name, colour = line.split(":")[0].strip(), None
            if line.startswith("#"):
                continue
        else:
            name = match["name"].strip()
            numbers = match.group("r", "g", "b")
            colour = None if numbers[0] is None else _colour(numbers)
        if not name or (name == "background" and colour in (None, (0, 0, 0))):
            continue
        if name not in found.names:
            found.names.append(name)
        if colour is not None:
            found.colours[colour] = name
    return found


def _colour(numbers: tuple[str, ...]) -> Colour:
    r, g, b = (int(number) for number in numbers)
    return r, g, b
