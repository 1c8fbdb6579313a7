"""Data sets looked at: counted and measured, and drawn on their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from detect_tl.api.reading import Reading
from detect_tl.core.findings import Report
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.curate.overview import Overview


@dataclass(frozen=True, slots=True)
class StatsResult:
    """The figures of a data set."""

    data: Path
    format: str
    explanation: str
    overview: Overview

    def as_json(self) -> dict[str, Any]:
        return {
            "data": str(self.data),
            "format": self.format,
            "explanation": self.explanation,
            **self.overview.as_json(),
        }


def stats(
    data: Path, *, progress: Progress | None = None, **reading: Unpack[Reading]
) -> StatsResult:
    """Count images and objects, and measure sizes, shapes and places.

    Raises DataError for annotations that cannot be read.
    """
    from detect_tl.core.progress import Silent
    from detect_tl.curate.overview import overview
    from detect_tl.formats.detect import read_dataset
    from detect_tl.formats.options import ReadOptions

    progress = progress or Silent()
    with progress.step(f"Reading {Path(data).name}"):
        read = read_dataset(Path(data), options=ReadOptions(**reading))
    with progress.step("Counting"):
        return StatsResult(Path(data), read.format, read.explanation, overview(read.dataset))


@dataclass(frozen=True, slots=True)
class ShowResult:
    """Pictures that were drawn. out: the folder or the sheet; None for a window.

    files: written, in the order of the data set. shown: number of images.
    """

    out: Path | None
    files: tuple[Path, ...]
    shown: int
    report: Report

    def as_json(self) -> dict[str, Any]:
        return {
            "out": str(self.out) if self.out else None,
            "files": [str(path) for path in self.files],
            "shown": self.shown,
            "report": self.report.as_json(),
        }


def show(
    data: Path,
    out: Path | None = None,
    *,
    images: Sequence[str] = (),
    classes: Sequence[str] = (),
    split: str | None = None,
    count: int = 16,
    seed: int | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> ShowResult:
    """Draw boxes and masks on pictures.

    out: a new folder for them, or a file (.jpg, .png) for all on one sheet. None opens a window,
    or, where there is no display, makes a folder `pictures` here.
    images: patterns of file names. classes, split: only images with one of these, only of this.
    count: how many; such that show every class, or drawn at random with a seed.
    Raises DataError when nothing fits, UsageError for a class that does not exist or an `out` that
    does.
    """
    from detect_tl.core.files import refuse_existing, unused_folder
    from detect_tl.core.screen import has_display
    from detect_tl.curate import show as room
    from detect_tl.formats.detect import read_dataset
    from detect_tl.formats.options import ReadOptions

    sheet = out is not None and room.is_sheet(Path(out))
    if out is not None and not sheet:
        refuse_existing(Path(out))
    read = read_dataset(Path(data), options=ReadOptions(**reading))
    names = read.dataset.names
    choice = room.Choice(images, classes, split, count, seed)
    samples = room.choose(read.dataset, choice)
    report = Report()
    if out is not None and sheet:
        shown = room.write_sheet(Path(out), samples, names, report, progress)
        return ShowResult(Path(out), (Path(out),), shown, report)
    if out is None and has_display():
        shown = room.show_window(room.pictures(samples, names, report), f"detect-tl {data}")
        return ShowResult(None, (), shown, report)
    folder = unused_folder(Path("pictures")) if out is None else Path(out)
    files = room.write_pictures(folder, samples, names, report, progress)
    return ShowResult(folder, tuple(files), len(files), report)
