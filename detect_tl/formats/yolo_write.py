"""Writing YOLO labels and the data.yaml that Ultralytics reads.

The root of the data set is left to be the folder of data.yaml: a relative `path:` would be looked
up from wherever the program happens to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from detect_tl.core.dataset import SPLITS, Dataset, Instance, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import PolygonMask, Ring, Size, box_ring, rle_to_bitmap
from detect_tl.core.masks import join_rings, merged, outline
from detect_tl.core.model_spec import Task

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


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write rows and data.yaml for images that lie at `folder/images/<split>/<name>`.

    All rows are boxes or all are outlines: Ultralytics refuses a file that mixes the two.
    """
    for sample in dataset.samples:
        path = label_path(sample.image)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{row}\n" for row in _rows(sample, task, report)))
    (folder / "data.yaml").write_text(_data_yaml(dataset), "utf-8")


def label_path(image: Path) -> Path:
    """`…/images/train/a.jpg` -> `…/labels/train/a.txt`."""
    split = image.parent
    return split.parent.parent / "labels" / split.name / f"{image.stem}.txt"


def _data_yaml(dataset: Dataset) -> str:
    used = {sample.split for sample in dataset.samples}
    lines = {split: f"images/{split}" for split in SPLITS if split in used}
    document = {**lines, "names": dict(enumerate(dataset.names))}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _rows(sample: Sample, task: Task, report: Report) -> Iterator[str]:
    for item in sample.instances:
        if item.iscrowd:
            report.lost["yolo-crowds"] += 1
            continue
        if item.attributes:
            report.lost["yolo-attributes"] += 1
        w, h = sample.size
        if task == "segment":
            values = (_outline(item, sample.size, report) / (w, h)).reshape(-1).tolist()
        else:
            if item.mask is not None:
                report.lost["yolo-outlines"] += 1
            x1, y1, x2, y2 = item.box
            values = [(x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h]
        # Seven digits are what the float32 of the trainer holds.
        yield " ".join([str(item.category), *(f"{v:.7g}" for v in values)])


def _outline(item: Instance, size: Size, report: Report) -> Ring:
    mask = item.mask
    if mask is None:
        report.lost["yolo-outlines-from-boxes"] += 1
        return box_ring(item.box)
    if not isinstance(mask, PolygonMask):
        report.lost["yolo-run-lengths"] += 1
        mask = outline(rle_to_bitmap(mask))
        if not mask.parts:
            return box_ring(item.box)
    if len(mask.parts) > 1:
        report.lost["yolo-joined-parts"] += 1
    if mask.holes:
        report.lost["yolo-joined-holes"] += 1
    apart = merged(mask, size)
    if apart is not mask:
        report.lost["yolo-merged-parts"] += 1
    return join_rings(apart)
