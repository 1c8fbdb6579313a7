"""Writing YOLO labels and the data.yaml that Ultralytics reads.

The root of the data set is left to be the folder of data.yaml: a relative `path:` would be looked
up from wherever the program happens to run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from detect_tl.core.columns import Groups
from detect_tl.core.dataset import SPLITS, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Size
from detect_tl.core.model_spec import Task
from detect_tl.core.parallel import spread
from detect_tl.formats.yolo.rows import rows_of

LOSSES = {
    "yolo-crowds": "a row cannot say that it stands for a crowd; crowds are left out",
    "yolo-attributes": "a row has no attributes",
    "yolo-outlines": "in a data set of boxes a row has no outline",
    "yolo-joined-parts": "a row has one outline; several parts are joined by bridges of no width",
    "yolo-merged-parts": "parts that overlap are first merged, exact to the pixel",
    "yolo-joined-holes": "a row has one outline; holes are joined to it by bridges of no width",
    "yolo-run-lengths": "a bitmap is written as its outline, exact to the pixel",
    "yolo-outlines-from-boxes": "in a data set of outlines an object without one gets its box",
}

# Images written by one process at a time; fewer are not worth another process.
_TOGETHER = 1000

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write rows and data.yaml for images that lie at `folder/images/<split>/<name>`.

    All rows are boxes or all are outlines: Ultralytics refuses a file that mixes the two.
    """
    for split in {sample.image.parent.name for sample in dataset.samples}:
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
    for lost in spread(_write_labels, list(_batches(dataset.samples, task))):
        report.lost.update(lost)
    used = {sample.split for sample in dataset.samples}
    lines = {split: f"images/{split}" for split in SPLITS if split in used}
    (folder / "data.yaml").write_text(data_yaml(dataset.names, lines), "utf-8")


def label_path(image: Path) -> Path:
    """`…/images/train/a.jpg` -> `…/labels/train/a.txt`."""
    split = image.parent
    return split.parent.parent / "labels" / split.name / f"{image.stem}.txt"


def _label_paths(samples: Sequence[Sample]) -> list[str]:
    """What `label_path` says, for many images of few folders."""
    stems = [os.path.splitext(s.image.name)[0] for s in samples]  # noqa: PTH122 - names
    images = [os.path.dirname(s.image) for s in samples]  # noqa: PTH120
    labels = {folder: label_path(Path(folder, "x")).parent for folder in set(images)}
    return [f"{labels[f]}{os.sep}{stem}.txt" for f, stem in zip(images, stems, strict=True)]


def data_yaml(names: Sequence[str], images: Mapping[str, str]) -> str:
    """The text of a data.yaml. images: the folder of each split, relative to the file."""
    document = {**images, "names": dict(enumerate(names))}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def label_rows(instances: Sequence[Instance], size: Size, task: Task, lost: Counter[str]) -> bytes:
    """The content of the label file of one image; what is lost is counted, see `LOSSES`."""
    table, offsets = Groups([instances]).columns()
    (rows,) = rows_of(table, offsets, np.asarray([size], dtype=np.float64), task, lost)
    return rows


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some label files: their paths, the objects of each, image sizes, and a task."""

    paths: list[str]
    objects: Groups
    sizes: list[Size]
    task: Task


def _batches(samples: Sequence[Sample], task: Task) -> Iterator[_Batch]:
    for start in range(0, len(samples), _TOGETHER):
        some = samples[start : start + _TOGETHER]
        objects = Groups([sample.instances for sample in some])
        yield _Batch(_label_paths(some), objects, [sample.size for sample in some], task)


def _write_labels(batch: _Batch) -> Counter[str]:
    """Write some label files; return what was lost."""
    table, offsets = batch.objects.columns()
    sizes = np.asarray(batch.sizes, dtype=np.float64)
    lost: Counter[str] = Counter()
    contents = rows_of(table, offsets, sizes, batch.task, lost)
    for path, rows in zip(batch.paths, contents, strict=True):
        descriptor = os.open(path, _NEW_FILE, 0o666)
        try:
            with memoryview(rows) as left:
                written = 0
                while written < len(left):
                    written += os.write(descriptor, left[written:])
        finally:
            os.close(descriptor)
    return lost
