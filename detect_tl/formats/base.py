"""What an annotation format offers, and how one is found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from detect_tl import plugins
from detect_tl.core.dataset import Dataset
from detect_tl.core.findings import Report
from detect_tl.core.model_spec import Task
from detect_tl.formats.source import Source


@dataclass(frozen=True, slots=True)
class Sniff:
    """Whether a format recognises a source, and the reason in words.

    files: the annotation files it would read; none means that it does not recognise the source.
    """

    reason: str
    files: tuple[Path, ...] = ()

    @property
    def matches(self) -> bool:
        return bool(self.files)


Reader = Callable[[Source, Report], Dataset]
Writer = Callable[[Dataset, Path, Report, Task], None]
Suggester = Callable[[Dataset, Path, Report, Task, str], None]


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a data set is cut into files that hold the images too.

    images, size: at most how many of them, and of their bytes, go into one; None for no limit, for
        both as the format does it by itself.
    sources: by image, its path in the source, with "/".
    """

    images: int | None = None
    size: int | None = None
    sources: Mapping[Path, str] = field(default_factory=dict)


Sharder = Callable[[Dataset, Path, Report, Task, Sharding], None]


@dataclass(frozen=True, slots=True)
class Format:
    """One annotation format.

    name: as the user types it; title: as its makers spell it.
    description: one line for `detect-tl formats`.
    sniff: looks at beginnings and ends of files only; never raises for a damaged one.
    read: returns boxes in pixels of the upright images; adds what it counted to the report;
        raises DataError for a file that cannot be used at all.
    write: describes a dataset whose images already lie at `folder/images/<split>/<name>`, for a
        task; adds what got lost to the report. None for a format that is only read.
    losses: what `write` cannot keep, by the name under which it counts it in `Report.lost`.
    sharded: as `write`, for a format whose files hold the images as well; it is also handed how
        large they are to be. A folder of only such formats has no images of its own. None for
        all others.
    suggest: as `write`, where the tool holds what a model says apart from what people say; it is
        also handed the name of the model. None where it makes no such difference.
    opening: how its tool opens what was written, to correct it; {folder} stands for the folder.
    options: what `read` heeds of `source.options` beyond what all formats do ("columns").
    """

    name: str
    title: str
    description: str
    sniff: Callable[[Source], Sniff]
    read: Reader
    write: Writer | None = None
    losses: Mapping[str, str] = field(default_factory=dict)
    options: frozenset[str] = frozenset()
    suggest: Suggester | None = None
    opening: str = ""
    sharded: Sharder | None = None


def format_names() -> list[str]:
    """Names of all formats on offer, sorted; nothing is imported."""
    return plugins.names("detect_tl.formats")


def load_format(name: str) -> Format:
    """Load one format by name; raise UsageError with a suggestion when there is none."""
    return plugins.load_as("detect_tl.formats", name, Format)


def reasons_of(losses: Iterable[str]) -> dict[str, str]:
    """Why something got lost in writing, by the name under which it is counted: "yolo-crowds".

    What no format on offer declares, such as the losses of reading, is left out.
    """
    counted = list(losses)
    writers = [n for n in format_names() if any(name.startswith(f"{n}-") for name in counted)]
    declared = {k: text for n in writers for k, text in load_format(n).losses.items()}
    return {name: declared[name] for name in counted if name in declared}


def load_formats(names: Iterable[str] | None = None) -> list[Format]:
    """Load the formats of these names, or all of them."""
    return [load_format(name) for name in (format_names() if names is None else names)]
