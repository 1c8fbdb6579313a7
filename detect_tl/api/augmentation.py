"""Augmentations: which there are, and what one of them does to a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from detect_tl.api.reading import Reading
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.augment.spec import Augmentation


@dataclass(frozen=True, slots=True)
class AugmentationsResult:
    """All augmentations on offer, built in and from plug-ins, by name."""

    augmentations: tuple[Augmentation, ...]

    def as_json(self) -> dict[str, Any]:
        return {"augmentations": [item.as_json() for item in self.augmentations]}


def augment_list() -> AugmentationsResult:
    """The augmentations that can be named."""
    from detect_tl.augment.find import augmentation_names, find_augmentation

    return AugmentationsResult(tuple(map(find_augmentation, augmentation_names())))


def augment_show(named: str | Path) -> Augmentation:
    """The augmentation of a name or a YAML file, its transforms and parameters checked.

    Raises UsageError for an unknown name, transform or parameter, DataError for a broken file.
    """
    from detect_tl.augment.find import find_augmentation
    from detect_tl.augment.pipeline import Pipeline

    found = find_augmentation(named)
    Pipeline(found)
    return found


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """The preview that was written.

    pictures: originals shown; views: augmented ones of each. objects: on all views; dropped: how
    many objects the augmentation pushed out of the pictures.
    """

    path: Path
    augmentation: Augmentation
    pictures: int
    views: int
    objects: int
    dropped: int

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "augmentation": self.augmentation.as_json(),
            "pictures": self.pictures,
            "views": self.views,
            "objects": self.objects,
            "dropped": self.dropped,
        }


def augment_preview(
    data: str | Path,
    *,
    augment: str | Path = "default",
    count: int = 4,
    views: int = 4,
    imgsz: int = 640,
    seed: int = 0,
    out: str | Path = "augmented.png",
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> PreviewResult:
    """Draw pictures of a data set, and beside each how an augmentation changes it.

    augment: a name or a YAML file. count: pictures; views: augmented ones of each. imgsz: their
    longest side, as for training. out: a .png, .jpg or .html file.
    reading: what is known of `data`, see `Reading`.

    Raises UsageError for an augmentation that is not known, DataError for data without a picture
    that can be shown.
    """
    from detect_tl.augment.find import find_augmentation
    from detect_tl.augment.preview import make_preview
    from detect_tl.augment.preview_file import check_target, write_preview
    from detect_tl.formats.detect import read_dataset
    from detect_tl.formats.options import ReadOptions

    check_target(Path(out))
    chosen = find_augmentation(augment)
    read = read_dataset(Path(data), options=ReadOptions(**reading))
    preview = make_preview(
        read.dataset, chosen, count=count, views=views, imgsz=imgsz, seed=seed, progress=progress
    )
    write_preview(Path(out), preview)
    shown = [view for row in preview.rows for view in row.views]
    return PreviewResult(
        Path(out),
        chosen,
        len(preview.rows),
        views,
        sum(len(view.instances) for view in shown),
        preview.dropped,
    )
