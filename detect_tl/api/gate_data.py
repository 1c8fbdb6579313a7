"""What an export is calibrated and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from detect_tl.api.model_files import ModelFiles
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.core.dataset import Dataset, Sample
    from detect_tl.export.accuracy import Labelled


@dataclass(frozen=True, slots=True)
class GateData:
    """Pictures to compare on, the same with labels where there are some, and some to calibrate on.

    note: what a person should know of the choice; may be empty.
    """

    images: Sequence[Path]
    labelled: Labelled | None
    calibration: Sequence[Path]
    note: str = ""


def gate_data(files: ModelFiles, given: Path | None, progress: Progress) -> GateData:
    """The validation split of `given` or of the model's run, calibrated on the training split.

    given: annotations in any format, a dataset folder, or a folder of mere pictures. Without it and
    without a run whose data is still there, the photos that come with Ultralytics.
    Raises UsageError for a folder without pictures, DataError for annotations that are broken.
    """
    from detect_tl.core.files import find_images
    from detect_tl.export.gate_images import packaged_photos

    if given is None:
        own = files.run.dataset() if files.run is not None else None
        if own is None or not own.is_dir():
            photos = packaged_photos()
            return GateData(photos, None, photos)
        given = own
    reason = _unrecognised(given)
    if not reason:
        return _of(_read(given, progress))
    found = find_images(given)
    if not found:
        raise UsageError(f"there are no images in {given}", hint="Name a folder of pictures.")
    return GateData(found, None, found, f"only the pictures of {given} are used: {reason}")


def _unrecognised(path: Path) -> str:
    """Why there are no annotations to be read; empty where there are some."""
    from detect_tl.formats.detect import explain

    try:
        explain(path)
    except DataError as error:
        return error.message
    return ""


def _read(path: Path, progress: Progress) -> Dataset:
    from detect_tl.formats.detect import read_dataset

    with progress.step(f"Reading {path.name}"):
        return read_dataset(path).dataset


def _of(dataset: Dataset) -> GateData:
    from detect_tl.api.evaluation import truth_of
    from detect_tl.export.accuracy import Labelled

    val = dataset.in_split("val") or dataset.samples
    truth = truth_of(replace(dataset, samples=tuple(val)), masks=dataset.has_masks)
    pairs = zip(truth.images, val, strict=True)
    images = [(image.id, sample.image) for image, sample in pairs]
    split = "val" if dataset.in_split("val") else "the data"
    labelled = Labelled(split, truth, images, dataset.has_masks)
    return GateData(_files(val), labelled, _files(dataset.in_split("train") or val))


def _files(samples: Sequence[Sample]) -> list[Path]:
    return [sample.image for sample in samples]
