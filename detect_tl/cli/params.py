"""Parameter types: text from a user becomes a finished value, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect_tl.core.errors import DataError
from detect_tl.core.shard_size import ShardSize
from detect_tl.core.splits import SPLITS
from detect_tl.core.yaml_files import read_yaml


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """The parts of "a=b,c=d", each with what stands before and behind its "="; "" for nothing."""
    for part in text.split(","):
        before, _, behind = part.partition("=")
        yield part, before.strip(), behind.strip()


class SplitFractions(click.ParamType[tuple[float, ...]]):
    """Fractions of train, val and test, such as 0.8,0.1,0.1; a list where YAML gives one."""

    name = "TRAIN,VAL,TEST"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            fractions = tuple(float(part) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a list of fractions such as 0.8,0.1,0.1", param, ctx)
        if not 1 <= len(fractions) <= len(SPLITS) or any(not 0 <= f <= 1 for f in fractions):
            self.fail(f"{value!r} must be up to three fractions between 0 and 1", param, ctx)
        if abs(sum(fractions) - 1) > 1e-6:
            self.fail(f"{value!r} sums up to {sum(fractions):g} instead of 1", param, ctx)
        return (*fractions, *(0.0,) * (len(SPLITS) - len(fractions)))


class ShardSizes(click.ParamType[ShardSize]):
    """Images in a shard, or bytes of them: 5000 or 500MB."""

    name = "IMAGES|MB"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ShardSize:
        try:
            return value if isinstance(value, ShardSize) else ShardSize.parsed(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SplitSizes(click.ParamType[tuple[float, ...]]):
    """Shares of train, val and test, or numbers of images: 0.8,0.1,0.1 or 300,40,24."""

    name = "TRAIN,VAL[,TEST]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            return tuple(float(part) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a list such as 0.8,0.1,0.1 or 300,40,24", param, ctx)


class Confidence(click.ParamType[float | str | dict[str, float]]):
    """A confidence, `auto`, or one for each class that is named: person=0.5,car=0.3."""

    name = "CONF"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str | dict[str, float]:
        if value == "auto":
            return "auto"
        if isinstance(value, dict):
            return {str(name): self._number(each, param, ctx) for name, each in value.items()}
        if "=" in str(value):
            return self._of_classes(str(value), param, ctx)
        return self._number(value, param, ctx)

    def _of_classes(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        each: dict[str, float] = {}
        for part, name, number in _pairs(value):
            if not (name and number):
                self.fail(f"{part!r} is not of the form person=0.5", param, ctx)
            if name in each:
                self.fail(f"{name!r} is given twice", param, ctx)
            each[name] = self._number(number, param, ctx)
        return each

    def _number(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            self.fail(
                f"{value!r} is neither a number, nor auto, nor of the form person=0.5", param, ctx
            )
        if not 0 <= number <= 1:
            self.fail(f"{number:g} does not lie between 0 and 1", param, ctx)
        return number


class Place(click.ParamType[tuple[str, tuple[float, ...]]]):
    """A line or zone with a name and its points: door:0.1,0.5,0.9,0.5."""

    def __init__(self, points: str) -> None:
        self.name = f"NAME:{points}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[float, ...]]:
        if isinstance(value, tuple):
            return value
        name, _, points = str(value).rpartition(":")
        if not name.strip():
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        try:
            return name.strip(), tuple(float(part) for part in points.split(","))
        except ValueError:
            self.fail(f"{points!r} is not made of numbers with commas between them", param, ctx)


class NewNames(click.ParamType[dict[str, str]]):
    """Classes that become others: sedan=car,van=car; a YAML file or a mapping that says so."""

    name = "OLD=NEW,…|FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        if isinstance(value, dict):
            return {str(old): str(new) for old, new in value.items()}
        if "=" not in value and value.lower().endswith((".yaml", ".yml")):
            return self._read(Path(value), param, ctx)
        names: dict[str, str] = {}
        for part, old, new in _pairs(value):
            if not (old and new):
                self.fail(f"{part!r} is not of the form old=new", param, ctx)
            if names.setdefault(old, new) != new:
                self.fail(f"{old!r} cannot become both {names[old]!r} and {new!r}", param, ctx)
        return names

    def _read(
        self, path: Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        try:
            found = read_yaml(path)
        except DataError as error:
            at = f"{path}:{error.line}" if error.line else path
            self.fail(f"{at}: {error.message}", param, ctx)
        if not isinstance(found, dict):
            self.fail(f"{path} does not say which class becomes which, as `sedan: car`", param, ctx)
        return {str(old): str(new) for old, new in found.items()}


class CommaList(click.ParamType[tuple[str, ...]]):
    """Words with commas between them, each one of `choices` when there are any."""

    def __init__(self, name: str, choices: tuple[str, ...] = ()) -> None:
        self.name = name
        self.choices = choices

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        words = tuple(dict.fromkeys(str(part).strip() for part in parts))
        for word in words:
            if self.choices and word not in self.choices:
                self.fail(f"{word!r} is not one of {', '.join(self.choices)}", param, ctx)
        return words


class Counts(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 1 on, with commas between; a list, or one of them, where YAML has it."""

    name = "N,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        parts = value if isinstance(value, list | tuple) else str(value).split(",")
        try:
            counts = tuple(int(part) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a list of numbers such as 1,5,10", param, ctx)
        if not counts or min(counts) < 1:
            self.fail(f"{value!r} must be numbers from 1 on", param, ctx)
        return counts


class ColumnNames(click.ParamType[dict[str, str]]):
    """What a column holds and what it is called: image=file,label=species; a mapping in YAML."""

    name = "FIELD=COLUMN,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        if isinstance(value, dict):
            return {str(key): str(column) for key, column in value.items()}
        columns: dict[str, str] = {}
        for part, key, column in _pairs(str(value)):
            if not (key and column):
                self.fail(f"{part!r} is not of the form image=file", param, ctx)
            if key in columns:
                self.fail(f"{key!r} is given twice", param, ctx)
            columns[key] = column
        return columns


class ImageSize(click.ParamType[tuple[int, int]]):
    """One side of the input in pixels, or HEIGHTxWIDTH; multiples of 32."""

    name = "SIDE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        parts = str(value).lower().split("x") if not isinstance(value, list | tuple) else value
        try:
            sides = [int(part) for part in parts]
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a size such as 640 or 480x640", param, ctx)
        if len(sides) not in (1, 2) or any(side < 32 or side % 32 for side in sides):
            self.fail(
                f"{value!r} must be made of multiples of 32, such as 640 or 480x640", param, ctx
            )
        return sides[0], sides[-1]


class FrameSize(click.ParamType[tuple[int, int]]):
    """Width and height in pixels, in the order in which FFmpeg says them: 1280x720."""

    name = "WIDTHxHEIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        parts = str(value).lower().split("x") if not isinstance(value, list | tuple) else value
        try:
            width, height = (int(part) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a size such as 1280x720", param, ctx)
        if min(width, height) < 1:
            self.fail(f"{value!r} has a side below 1", param, ctx)
        return width, height


class Layers(click.ParamType[str | tuple[int, ...]]):
    """What stays frozen: a name, a number of layers, or their numbers with commas between."""

    name = "LAYERS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | tuple[int, ...]:
        del param, ctx
        return tuple(value) if isinstance(value, list | tuple) else str(value)


SPLIT = SplitFractions()
LAYERS = Layers()
IMGSZ = ImageSize()
FRAME_SIZE = FrameSize()
COLUMNS = ColumnNames()
COUNTS = Counts()
SPLIT_SIZES = SplitSizes()
NEW_NAMES = NewNames()
SHARD_SIZE = ShardSizes()
