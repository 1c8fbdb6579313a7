"""See what an augmentation does: originals, and beside them the same pictures augmented."""

from __future__ import annotations

from dataclasses import dataclass, replace

from detect_tl.augment.pipeline import Augmented, Pipeline
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.dataset import Dataset
from detect_tl.core.errors import DataError
from detect_tl.core.images import read_image
from detect_tl.core.pages import choose_pictures
from detect_tl.core.progress import Progress, Silent, track

_SEEDS_PER_PICTURE = 1000


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
