"""Writing LabelMe: one JSON file per image, which the LabelMe tool opens.

What a shape cannot say by itself stands under keys that LabelMe does not know; it keeps them, and
writes them again when a file is saved.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np

from detect_tl.core.dataset import Dataset, Instance, Sample
from detect_tl.core.files import write_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import (
    PolygonMask,
    RleMask,
    Size,
    bitmap_to_rle,
    mask_box,
    rle_to_bitmap,
)
from detect_tl.core.masks import draw_mask
from detect_tl.core.model_spec import Task
from detect_tl.formats import finite, supercategories
from detect_tl.formats.finite import finite_only
from detect_tl.formats.labelme.shape import ATTRIBUTES, CROWD, LABELS_HEAD, has_area
from detect_tl.formats.supercategories import count_supercategories

# The release whose files these are; LabelMe writes its own number when it saves one.
VERSION = "5.5.0"
# Pixels; less is rounding.
_SAME_BOX = 1e-3

LOSSES = {
    "labelme-holes": "outlines have no holes; such a mask is written as the bitmap that it fills",
    "labelme-empty-outlines": "a mask without area has no outline; its box is kept",
    "labelme-boxes": "a shape with an outline has no box beside it; it gets that of the outline",
    "labelme-not-finite": finite.LOSS,
    "labelme-supercategories": supercategories.LOSS,
}


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write `labelme/<split>/<stem>.json` for images at `folder/images/<split>/<name>`.

    Images are not put inside the files: they lie where `imagePath` says.
    """
    del task  # boxes and outlines are both kept, whatever is trained
    base = folder / "labelme"
    count_supercategories(dataset, "labelme-supercategories", report)
    for sample in dataset.samples:
        path = base / str(sample.split) / f"{sample.image.stem}.json"
        write_json(path, document(sample, dataset.names, path.parent, report))
    base.mkdir(exist_ok=True)
    (base / "labels.txt").write_text(labels_text(dataset.names), "utf-8")


def labels_text(names: Sequence[str]) -> str:
    """The text of labels.txt: after LabelMe's head where the first class would pass for it."""
    head = LABELS_HEAD if list(names[:1]) == [LABELS_HEAD[0]] else ()
    return "".join(f"{line}\n" for line in (*head, *names))


def document(
    sample: Sample, names: Sequence[str], folder: Path, report: Report
) -> Mapping[str, Any]:
    """The file of one image. folder: where it will lie; what is lost is counted, see `LOSSES`."""
    shapes: list[Mapping[str, Any]] = []
    instances = finite_only(sample.instances, "labelme-not-finite", report)
    for item, group in zip(instances, _groups(instances), strict=True):
        shapes += _shapes(item, names[item.category], group, sample.size, report)
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": Path(relpath(sample.image, folder)).as_posix(),
        "imageData": None,
        "imageHeight": sample.size.height,
        "imageWidth": sample.size.width,
    }


def _groups(instances: Sequence[Instance]) -> Iterator[int | None]:
    """The group of every object: the one it had, unless another object of its class shares it.

    An object of several parts needs a group of its own.
    """
    wanted = [_group(item) for item in instances]
    shared = Counter((item.category, g) for item, g in zip(instances, wanted, strict=True))
    free = (number for number in count(1) if number not in wanted)
    for item, group in zip(instances, wanted, strict=True):
        if group is not None and shared[item.category, group] == 1:
            yield group
        else:
            yield next(free) if _has_parts(item) else None


def _group(item: Instance) -> int | None:
    value = item.attributes.get("group_id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _has_parts(item: Instance) -> bool:
    return isinstance(item.mask, PolygonMask) and len(item.mask.parts) > 1


def _shapes(
    item: Instance, label: str, group: int | None, size: Size, report: Report
) -> Iterator[Mapping[str, Any]]:
    others = dict(item.attributes)
    flags = {key: others.pop(key) for key, value in item.attributes.items() if value is True}
    description = others.get("description")
    if isinstance(description, str) and description:
        del others["description"]
    else:
        description = ""
    for kind, points, mask in _outlines(item, size, report):
        yield {
            "label": label,
            "points": points,
            "group_id": group,
            "description": description,
            "shape_type": kind,
            "flags": flags,
            "mask": mask,
            ATTRIBUTES: others,
            **({CROWD: True} if item.iscrowd else {}),
        }


_Outline = tuple[str, list[list[float]], str | None]


def _outlines(item: Instance, size: Size, report: Report) -> Iterator[_Outline]:
    """Type, points and bitmap of the shapes of an object."""
    mask = item.mask
    if mask is not None and not _fits(item):
        report.lost["labelme-boxes"] += 1
    if isinstance(mask, PolygonMask):
        rings = [ring for ring in mask.parts if has_area(ring)]
        if rings and not mask.holes:
            yield from (("polygon", ring.tolist(), None) for ring in rings)
            return
        if rings:
            report.lost["labelme-holes"] += len(mask.holes)
            mask = bitmap_to_rle(draw_mask(PolygonMask(tuple(rings), mask.holes), size))
        else:
            mask = RleMask((), size)
    if mask is not None and any(mask.counts[1::2]):
        yield _bitmap(mask)
        return
    if mask is not None:
        report.lost["labelme-empty-outlines"] += 1
    x1, y1, x2, y2 = item.box
    yield "rectangle", [[x1, y1], [x2, y2]], None


def _fits(item: Instance) -> bool:
    """Whether the box of an object is the one around its mask."""
    try:
        around = mask_box(item.mask) if item.mask is not None else item.box
    except ValueError:
        return True  # an empty mask: the box is what is written
    return max(abs(a - b) for a, b in zip(around, item.box, strict=True)) <= _SAME_BOX


def _bitmap(mask: RleMask) -> _Outline:
    """A PNG of the part of the image between two corners, both of which are part of it."""
    import cv2

    filled = rle_to_bitmap(mask)
    ys, xs = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    top, bottom, left, right = int(ys[0]), int(ys[-1]), int(xs[0]), int(xs[-1])
    _, data = cv2.imencode(".png", filled[top : bottom + 1, left : right + 1])
    encoded = base64.b64encode(data.tobytes()).decode()
    return "mask", [[float(left), float(top)], [float(right), float(bottom)]], encoded
