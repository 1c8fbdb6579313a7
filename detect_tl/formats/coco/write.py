"""Writing COCO: one JSON file per split, in full, with one record on a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from detect_tl.core.columns import Groups, InstanceTable
from detect_tl.core.dataset import SPLITS, Dataset, Sample
from detect_tl.core.findings import Report
from detect_tl.core.geometry import PolygonMask, RleMask, Size, bitmap_to_rle, mask_area
from detect_tl.core.masks import draw_mask
from detect_tl.core.model_spec import Task
from detect_tl.core.parallel import spread

LOSSES = {
    "coco-holes": "polygons have no holes; such a mask is written as the bitmap that it fills",
}

# Images described by one process at a time; fewer are not worth another process.
_TOGETHER = 1000
_NUMPY = orjson.OPT_SERIALIZE_NUMPY

Json = Mapping[str, Any]


def category_id(category: int) -> int:
    """The id under which a class is written. They count from 1, as those of COCO do."""
    return category + 1


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write `annotations/<split>.json` for images that lie at `folder/images/<split>/<name>`.

    Ids of images and annotations are unique over all splits and count from 1: pycocotools takes
    an annotation of id 0 for no annotation.
    """
    del task  # boxes and masks are both kept, whatever is trained
    categories = [
        orjson.dumps({"id": category_id(k), "name": c.name, "supercategory": c.supercategory})
        for k, c in enumerate(dataset.categories)
    ]
    (folder / "annotations").mkdir(exist_ok=True)
    image_id = annotation_id = 1
    for split in SPLITS:
        samples = dataset.in_split(split)
        if not samples:
            continue
        with (folder / "annotations" / f"{split}.json").open("wb") as stream:
            stream.write(b'{"images": [\n')
            stream.write(b",\n".join(map(_image, samples, range(image_id, 1 << 62))))
            stream.write(b'\n],\n"annotations": [')
            separator = b"\n"
            batches = list(_batches(samples, image_id, annotation_id))
            for lines, lost in spread(_describe, batches):
                report.lost.update(lost)
                if lines:
                    stream.write(separator + lines)
                    separator = b",\n"
            stream.write(b'\n],\n"categories": [\n' + b",\n".join(categories) + b"\n]}\n")
        image_id += len(samples)
        annotation_id += sum(len(sample.instances) for sample in samples)


def _image(sample: Sample, image_id: int) -> bytes:
    w, h = sample.size
    record = {"id": image_id, "file_name": sample.image.name, "width": w, "height": h}
    if sample.not_exhaustive:  # the name that LVIS gave it
        record["not_exhaustive_category_ids"] = list(map(category_id, sample.not_exhaustive))
    return orjson.dumps(record)


class _Batch(NamedTuple):
    """Some images: the objects of each, their sizes, and the first ids."""

    objects: Groups
    sizes: list[Size]
    image_id: int
    annotation_id: int


def _batches(samples: Sequence[Sample], image_id: int, annotation_id: int) -> Iterator[_Batch]:
    for start in range(0, len(samples), _TOGETHER):
        some = samples[start : start + _TOGETHER]
        objects = Groups([sample.instances for sample in some])
        yield _Batch(objects, [sample.size for sample in some], image_id + start, annotation_id)
        annotation_id += sum(map(len, objects))


def _describe(batch: _Batch) -> tuple[bytes, Counter[str]]:
    """The annotations of a batch, one on a line, and what was lost."""
    lost: Counter[str] = Counter()
    records = _annotations(batch, lost)
    return b",\n".join(orjson.dumps(record, option=_NUMPY) for record in records), lost


def _annotations(batch: _Batch, lost: Counter[str]) -> Iterator[Json]:
    table, offsets = batch.objects.columns()
    corner_and_size = table.box.copy()
    corner_and_size[:, 2:] -= table.box[:, :2]
    bbox, crowd = corner_and_size.tolist(), table.crowd.tolist()
    category = table.category.tolist()
    area, outlines = _areas(table, corner_and_size), _Outlines(table)
    for place, (start, stop) in enumerate(pairwise(offsets.tolist())):
        for row in range(start, stop):
            found: dict[str, Any] = {
                "id": batch.annotation_id + row,
                "image_id": batch.image_id + place,
                "category_id": category_id(category[row]),
                "bbox": bbox[row],
                "area": area[row],
                "segmentation": outlines.of(row),
                "iscrowd": int(crowd[row]),
            }
            if found["segmentation"] is None:
                found["segmentation"], found["area"] = _bitmap(table, row, batch.sizes[place], lost)
            if row in table.attributes:
                found["attributes"] = dict(table.attributes[row])
            yield found


def _areas(table: InstanceTable, corner_and_size: NDArray[np.float64]) -> list[float]:
    """The area of the outlines of every object, or of its box where it has none."""
    areas = np.clip(corner_and_size[:, 2:], 0, None).prod(axis=1)
    rings = np.abs(table.ring_areas())
    outlined = np.flatnonzero(table.rings)
    if len(outlined):
        areas[outlined] = np.add.reduceat(rings, table.first_ring[outlined])
    found: list[float] = areas.tolist()
    return found


class _Outlines:
    """The segmentation of objects whose mask is polygons without holes, or that have none."""

    def __init__(self, table: InstanceTable) -> None:
        self._table = table
        self._flat = np.ascontiguousarray(table.points).reshape(-1)
        self._edges = (table.ring_start * 2).tolist()
        self._first, self._count = table.first_ring.tolist(), table.rings.tolist()
        holed = np.repeat(np.arange(len(table)), table.rings)[table.hole]
        self._special = {*holed.tolist(), *table.others}

    def of(self, row: int) -> list[NDArray[np.float64]] | None:
        """Flat rings; None for a mask of another kind."""
        if row in self._special:
            return None
        first = self._first[row]
        edges = self._edges[first : first + self._count[row] + 1]
        return [self._flat[a:b] for a, b in pairwise(edges)]


def _bitmap(table: InstanceTable, row: int, size: Size, lost: Counter[str]) -> tuple[Any, float]:
    """Segmentation and area of a mask that is not polygons without holes."""
    mask = table.mask(row)
    if isinstance(mask, PolygonMask):
        if not mask.holes:
            return [part.reshape(-1) for part in mask.parts], mask_area(mask)
        lost["coco-holes"] += len(mask.holes)
        mask = bitmap_to_rle(draw_mask(mask, size))
    if not isinstance(mask, RleMask):
        raise TypeError(f"{mask!r} is no mask")
    counts = {"size": [mask.size.height, mask.size.width], "counts": list(mask.counts)}
    return counts, mask_area(mask)
