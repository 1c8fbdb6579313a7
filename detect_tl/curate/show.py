"""Pictures of a data set with its annotations drawn on them, as files or as one sheet."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detect_tl.core.dataset import Dataset, Sample, categories_of
from detect_tl.core.errors import DataError, UsageError, did_you_mean
from detect_tl.core.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, atomic_folder, atomic_path
from detect_tl.core.findings import Report
from detect_tl.core.images import Image, write_image
from detect_tl.core.lettering import put_label
from detect_tl.core.pages import choose_pictures
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.core.screen import STOP_KEYS, opened_window
from detect_tl.core.words import counted
from detect_tl.curate.draw import draw_sample
from detect_tl.curate.filter import is_called
from detect_tl.curate.names import plan_names

_SHEETS = frozenset(".jpg .jpeg .png .webp".split())
_OTHER_FILES = (IMAGE_SUFFIXES | VIDEO_SUFFIXES | {".html", ".pdf", ".svg"}) - _SHEETS
_CELL = 480
_GAP = 8
_CAPTION = 22
_LONGEST = 40  # letters of a name in a caption
_BACK, _STRIPE = (24, 20, 17), (48, 42, 36)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which images to show.

    images: patterns of file names; all of them are shown, whatever `count` says, in their order.
    classes, split: only images with an object of one of these, only of this split.
    count: how many. seed: draw them at random; None takes such that show every class.
    """

    images: Sequence[str] = ()
    classes: Sequence[str] = ()
    split: str | None = None
    count: int = 16
    seed: int | None = None


def choose(dataset: Dataset, choice: Choice) -> list[Sample]:
    """The samples to show.

    Raises UsageError for a class that does not exist, DataError when nothing fits.
    """
    for name in choice.classes:
        if name not in dataset.names:
            raise UsageError(f"there is no class {name!r}", hint=did_you_mean(name, dataset.names))
    wanted = {dataset.names.index(name) for name in choice.classes}
    fits = [
        sample
        for sample in dataset.samples
        if (not choice.images or is_called(sample.image, choice.images))
        and (choice.split is None or sample.split == choice.split)
        and (not wanted or wanted & set(categories_of(sample.instances)))
    ]
    if not fits:
        raise DataError(
            f"none of {len(dataset)} images is as asked for",
            hint="Leave out --image, --class or --split, or see `detect-tl stats`.",
        )
    if choice.images:
        return fits
    if choice.seed is not None:
        places = random.Random(choice.seed).sample(range(len(fits)), min(choice.count, len(fits)))
        return [fits[k] for k in sorted(places)]
    return choose_pictures(Dataset(dataset.categories, tuple(fits)), choice.count) or fits[:1]


def pictures(
    samples: Sequence[Sample], names: Sequence[str], report: Report, longest: int | None = None
) -> Iterator[tuple[Sample, Image]]:
    """Every sample with its drawn picture; one that cannot be read is reported as lost."""
    for sample in samples:
        try:
            yield sample, draw_sample(sample, names, longest)
        except DataError as error:
            report.lost["pictures"] += 1
            report.add("image.unreadable", "error", error.message, sample.image)


def write_pictures(
    folder: Path,
    samples: Sequence[Sample],
    names: Sequence[str],
    report: Report,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a JPEG for each sample into a new folder, whole or not at all; return their paths."""
    files = plan_names([sample.image for sample in samples], folder)
    called = {id(s): f"{Path(f).stem}.jpg" for s, f in zip(samples, files, strict=True)}
    written = []
    drawn = pictures(samples, names, report)
    with atomic_folder(folder) as scratch:
        for sample, image in track(progress or Silent(), drawn, "Drawing", len(samples)):
            write_image(scratch / called[id(sample)], image)
            written.append(folder / called[id(sample)])
    return written


def is_sheet(out: Path) -> bool:
    """Whether `out` names one picture, and not a folder of them; UsageError for another file."""
    suffix = out.suffix.lower()
    if suffix in _OTHER_FILES:
        raise UsageError(
            f"{out} is no picture that can be written", hint="Use .jpg, .png or .webp, or a folder."
        )
    return suffix in _SHEETS


def write_sheet(
    path: Path,
    samples: Sequence[Sample],
    names: Sequence[str],
    report: Report,
    progress: Progress | None = None,
) -> int:
    """Write all pictures as one, in rows, each under its name and split; return how many.

    Raises DataError when none of them can be read.
    """
    drawn = pictures(samples, names, report, _CELL)
    cells = [
        _cell(sample, image)
        for sample, image in track(progress or Silent(), drawn, "Drawing", len(samples))
    ]
    if not cells:
        raise DataError("none of the pictures can be read", path=samples[0].image)
    columns = math.ceil(math.sqrt(len(cells)))
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    width = _GAP + columns * (_CELL + _GAP)
    sheet = np.full((_GAP + sum(h + _GAP for h in heights), width, 3), _BACK, np.uint8)
    y = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            x = _GAP + column * (_CELL + _GAP)
            sheet[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
        y += height + _GAP
    with atomic_path(path) as scratch:
        write_image(scratch, sheet)
    return len(cells)


def show_window(drawn: Iterable[tuple[Sample, Image]], title: str) -> int:
    """Show one picture after the other, a key for each; q or Escape ends. Return how many.

    Raises MachineError where there is no display, or OpenCV was built without windows.
    """
    import cv2

    shown = 0
    with opened_window(title, "Give --out a folder."):
        for sample, image in drawn:
            shown += 1
            said = counted(len(sample.instances), "object")
            cv2.setWindowTitle(title, f"{sample.image.name} - {said}")
            cv2.imshow(title, image)
            if _key(title) in STOP_KEYS:
                break
    return shown


def _key(title: str) -> int:
    """Wait for a key, or for the window to be closed, which counts as q."""
    import cv2

    while cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1:
        key = cv2.waitKey(100) & 0xFF
        if key != 0xFF:
            return key
    return ord("q")


def _cell(sample: Sample, image: Image) -> Image:
    """A picture under a line with its name, as wide as a cell."""
    height, width = image.shape[:2]
    cell = np.full((height + _CAPTION, _CELL, 3), _STRIPE, np.uint8)
    left = (_CELL - width) // 2
    cell[_CAPTION:, left : left + width] = image
    objects = counted(len(sample.instances), "object")
    said = " · ".join(filter(None, (_shortened(sample.image.name), sample.split, objects)))
    put_label(cell, said, (0, 0), 13, _STRIPE)
    return cell


def _shortened(name: str) -> str:
    """A name that leaves room for what is said beside it: exports append hashes to theirs."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 14]}…{name[-13:]}"
