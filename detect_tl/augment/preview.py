"""See what an augmentation does: originals, and beside them the same pictures augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detect_tl.augment.pipeline import Augmented, Pipeline
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.geometry import Size
from detect_tl.core.images import read_image
from detect_tl.core.pages import choose_pictures, drawings, embedded_jpeg, write_page
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.core.words import counted

_TEMPLATE = Path(__file__).parent / "templates" / "preview.html.j2"
_MOST_LABELS = 12
_SEEDS_PER_PICTURE = 1000
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
PAGE_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of the data set, no larger than it is trained on, and its augmented views."""

    name: str
    original: Augmented
    views: tuple[Augmented, ...]

    @property
    def dropped(self) -> int:
        """Objects that were pushed out, over all views."""
        return sum(view.dropped for view in self.views)


@dataclass(frozen=True, slots=True)
class Preview:
    augmentation: Augmentation
    names: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def dropped(self) -> int:
        return sum(row.dropped for row in self.rows)


def check_target(path: Path) -> None:
    """Raise UsageError when the name does not end like a picture or a page."""
    if path.suffix.lower() not in PICTURE_SUFFIXES + PAGE_SUFFIXES:
        raise UsageError(
            f"a preview is a picture or a page, and {path.name} is neither by its name",
            hint="Name a .png, .jpg or .html file.",
        )


def make_preview(
    dataset: Dataset,
    augmentation: Augmentation,
    *,
    count: int = 4,
    views: int = 4,
    imgsz: int = 640,
    seed: int = 0,
    progress: Progress | None = None,
) -> Preview:
    """Augment `count` pictures of `dataset`, those that show every class, `views` times each.

    imgsz: the longest side that pictures are reduced to first, as they are for training.
    Raises UsageError when the augmentation cannot be made, DataError when there is no picture with
    objects that can be read.
    """
    pipeline = Pipeline(augmentation)
    fit = Pipeline(Augmentation("fit", steps=(Step("LongestMaxSize", {"max_size": imgsz}),)))
    rows = []
    there = tuple(sample for sample in dataset.samples if sample.image.is_file())
    chosen = choose_pictures(replace(dataset, samples=there), count)
    for place, sample in enumerate(track(progress or Silent(), chosen, "Augmenting")):
        try:
            image = read_image(sample.image)
        except DataError:
            continue  # `check` tells what is wrong with it
        original = Augmented(image, tuple(sample.instances))
        if max(image.shape[:2]) > imgsz:
            original = fit(image, sample.instances, 0)
        first = seed * _SEEDS_PER_PICTURE**2 + place * _SEEDS_PER_PICTURE
        made = (pipeline(original.image, original.instances, first + view) for view in range(views))
        rows.append(Row(sample.image.name, original, tuple(made)))
    if not rows:
        raise DataError(
            "no picture with objects can be shown", hint="See what `detect-tl check` says."
        )
    return Preview(augmentation, tuple(dataset.names), tuple(rows))


def write_preview(path: Path, preview: Preview) -> None:
    """Write a picture or a page, as the end of the name says; whole or not at all."""
    check_target(path)
    if path.suffix.lower() in PAGE_SUFFIXES:
        write_page(path, _TEMPLATE, _values(preview))
        return
    from detect_tl.augment.sheet import write_sheet

    write_sheet(path, preview)


def _values(preview: Preview) -> dict[str, Any]:
    return {
        "augmentation": preview.augmentation,
        "written": preview.augmentation.as_yaml(),
        "dropped": preview.dropped,
        "rows": [
            {
                "name": row.name,
                "pictures": [
                    _picture(shown, preview.names, title)
                    for shown, title in [
                        (row.original, "as it is"),
                        *((view, _title(view)) for view in row.views),
                    ]
                ],
            }
            for row in preview.rows
        ],
    }


def _title(view: Augmented) -> str:
    objects = counted(len(view.instances), "object")
    return f"{objects}, {view.dropped} dropped" if view.dropped else objects


def _picture(shown: Augmented, names: Sequence[str], title: str) -> dict[str, Any]:
    height, width = shown.image.shape[:2]
    return {
        "title": title,
        "width": width,
        "height": height,
        "data": embedded_jpeg(shown.image, 480),
        "labelled": len(shown.instances) <= _MOST_LABELS,
        "objects": drawings(shown.instances, names, Size(width, height)),
    }
