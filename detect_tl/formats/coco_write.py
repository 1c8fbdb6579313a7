"""Writing COCO: one JSON file per split, in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detect_tl.core.dataset import SPLITS, Dataset, Sample
from detect_tl.core.files import write_json
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Mask, PolygonMask, RleMask, bitmap_to_rle, mask_area
from detect_tl.core.masks import draw_mask
from detect_tl.core.model_spec import Task

LOSSES = {
    "coco-holes": "polygons have no holes; such a mask is written as the bitmap that it fills",
}

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
        {"id": category_id(k), "name": c.name, "supercategory": c.supercategory}
        for k, c in enumerate(dataset.categories)
    ]
    image_id = annotation_id = 0
    for split in SPLITS:
        samples = dataset.in_split(split)
        if not samples:
            continue
        images: list[Json] = []
        annotations: list[Json] = []
        for sample in samples:
            image_id += 1
            images.append(_image(sample, image_id))
            for annotation in _annotations(sample, report):
                annotation_id += 1
                annotations.append({"id": annotation_id, "image_id": image_id, **annotation})
        document = {"images": images, "annotations": annotations, "categories": categories}
        write_json(folder / "annotations" / f"{split}.json", document)


def _image(sample: Sample, image_id: int) -> Json:
    w, h = sample.size
    return {"id": image_id, "file_name": sample.image.name, "width": w, "height": h}


def _annotations(sample: Sample, report: Report) -> Iterator[Json]:
    for item in sample.instances:
        mask = item.mask
        if isinstance(mask, PolygonMask) and mask.holes:
            report.lost["coco-holes"] += len(mask.holes)
            mask = bitmap_to_rle(draw_mask(mask, sample.size))
        annotation = {
            "category_id": category_id(item.category),
            "bbox": list(item.box.xywh),
            "area": item.box.area if mask is None else mask_area(mask),
            "segmentation": _segmentation(mask),
            "iscrowd": int(item.iscrowd),
        }
        if item.attributes:
            annotation["attributes"] = dict(item.attributes)
        yield annotation


def _segmentation(mask: Mask | None) -> Any:
    if mask is None:
        return []
    if isinstance(mask, RleMask):
        return {"size": [mask.size.height, mask.size.width], "counts": list(mask.counts)}
    return [part.reshape(-1).tolist() for part in mask.parts]
