"""Writing Label Studio: tasks that it imports, to look through and correct objects in it.

It serves images from disk when it is started with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT at the folder that was written, and its project has
`images` in there as a local storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray

from detect_tl.core.dataset import SPLITS, Dataset, Instance, Sample
from detect_tl.core.files import atomic_path
from detect_tl.core.findings import Report
from detect_tl.core.geometry import Box, Mask, PolygonMask, Ring, Size, mask_box, ring_area
from detect_tl.core.masks import draw_mask
from detect_tl.core.model_spec import Task
from detect_tl.formats import finite, supercategories
from detect_tl.formats.finite import finite_only
from detect_tl.formats.label_studio.config import (
    BRUSHES,
    IMAGE,
    POLYGONS,
    RECTANGLES,
    interface,
)
from detect_tl.formats.label_studio.region import ATTRIBUTES, CROWD, META
from detect_tl.formats.label_studio.rle import encode_brush
from detect_tl.formats.supercategories import count_supercategories

# Pixels; less is rounding.
_SAME_BOX = 1e-3
_Json = dict[str, Any]

LOSSES = {
    "label-studio-outlines": "an outline has one part and no holes; any other is written as the"
    " bitmap that it fills",
    "label-studio-empty-outlines": "a mask without area, or of another size than its image, cannot"
    " be painted; its box is kept",
    "label-studio-boxes": "a region with an outline has no box beside it; it gets that of the"
    " outline",
    "label-studio-not-finite": finite.LOSS,
    "label-studio-supercategories": supercategories.LOSS,
}


def write(dataset: Dataset, folder: Path, report: Report, task: Task) -> None:
    """Write `label-studio/<split>.json` and `config.xml`, the interface, beside them.

    Images lie at `folder/images/<split>/<name>`; tasks name them for a local storage.
    """
    del task  # boxes and outlines are both kept, whatever is trained
    _write(dataset, folder, report, _annotated)


def suggest(dataset: Dataset, folder: Path, report: Report, task: Task, model: str) -> None:
    """The same with predictions of a model, which are shown to whoever labels, to be corrected.

    The score of a task, by which the tool sorts, is the mean of those of its objects.
    """
    del task

    def predicted(regions: list[_Json]) -> _Json:
        for region in regions:
            region["origin"] = "prediction"
        scores = [region["score"] for region in regions if "score" in region]
        mean = {"score": sum(scores) / len(scores)} if scores else {}
        prediction = {"model_version": model, **mean, "result": regions}
        return {"annotations": [], "predictions": [prediction]}

    _write(dataset, folder, report, predicted)


def _annotated(regions: list[_Json]) -> _Json:
    annotation = {"result": regions, "was_cancelled": False, "ground_truth": False}
    return {"annotations": [annotation], "predictions": []}


def _write(
    dataset: Dataset, folder: Path, report: Report, said: Callable[[list[_Json]], _Json]
) -> None:
    """said: what a task holds beside its image, from the regions of its objects."""
    count_supercategories(dataset, "label-studio-supercategories", report)
    base = folder / "label-studio"
    for split in SPLITS:
        samples = dataset.in_split(split)
        if samples:
            with atomic_path(base / f"{split}.json") as path, path.open("wb") as stream:
                tasks = (
                    {
                        "data": {"image": _address(sample.image, folder)},
                        **said(_regions(sample, dataset.names, report)),
                    }
                    for sample in samples
                )
                stream.writelines(_lines(tasks))
    with atomic_path(base / "config.xml") as path:
        path.write_text(interface(dataset.names), "utf-8", newline="\n")


def _lines(tasks: Iterable[_Json]) -> Iterator[bytes]:
    """A list with a task per line: the numbers of a brush would take a line each otherwise."""
    for place, task in enumerate(tasks):
        yield (b",\n" if place else b"[\n") + orjson.dumps(task)
    yield b"\n]\n"


def _address(image: Path, folder: Path) -> str:
    """How a local storage at `folder` calls an image."""
    return f"/data/local-files/?d={quote(Path(relpath(image, folder)).as_posix())}"


def _regions(sample: Sample, names: Sequence[str], report: Report) -> list[_Json]:
    instances = finite_only(sample.instances, "label-studio-not-finite", report)
    return [
        _region(item, names[item.category], f"r{place}", sample.size, report)
        for place, item in enumerate(instances, start=1)
    ]


def _region(item: Instance, label: str, name: str, size: Size, report: Report) -> _Json:
    control, kind, value = _shape(item, size, report)
    attributes = dict(item.attributes)
    score = attributes.get("score")
    scored = isinstance(score, int | float) and not isinstance(score, bool)
    if scored:
        del attributes["score"]
    meta: _Json = {ATTRIBUTES: attributes} if attributes else {}
    if item.iscrowd:
        meta[CROWD] = True
    return {
        "id": name,
        "type": kind,
        "from_name": control,
        "to_name": IMAGE,
        "origin": "manual",
        "image_rotation": 0,
        "original_width": size.width,
        "original_height": size.height,
        "value": {**value, kind: [label]},
        **({"score": score} if scored else {}),
        **({META: meta} if meta else {}),
    }


def _shape(item: Instance, size: Size, report: Report) -> tuple[str, str, Mapping[str, Any]]:
    """The control, the type and the value of the shape that keeps most of an object."""
    mask = item.mask
    if isinstance(mask, PolygonMask):
        rings = [ring for ring in mask.parts if len(ring) >= 3 and ring_area(ring)]
        if len(rings) == 1 and not mask.holes:
            _count_box(item, report)
            return POLYGONS, "polygonlabels", {"points": _percent(rings[0], size), "closed": True}
    if mask is not None:
        bitmap = _painted(mask, size)
        if bitmap is not None:
            _count_box(item, report)
            if isinstance(mask, PolygonMask):
                report.lost["label-studio-outlines"] += 1
            return BRUSHES, "brushlabels", {"format": "rle", "rle": encode_brush(bitmap)}
        report.lost["label-studio-empty-outlines"] += 1
    return RECTANGLES, "rectanglelabels", _rectangle(item.box, size)


def _painted(mask: Mask, size: Size) -> NDArray[np.uint8] | None:
    """What a mask fills, (height, width); None when that is nothing, or it is of another image."""
    try:
        bitmap = draw_mask(mask, size)
    except ValueError:
        return None
    return bitmap if bitmap.any() else None


def _count_box(item: Instance, report: Report) -> None:
    """Count a box that is not the one around its mask, which is not empty."""
    around = mask_box(item.mask) if item.mask is not None else item.box
    if max(abs(a - b) for a, b in zip(around, item.box, strict=True)) > _SAME_BOX:
        report.lost["label-studio-boxes"] += 1


def _rectangle(box: Box, size: Size) -> Mapping[str, Any]:
    x, y, w, h = box.xywh
    return {
        "x": x * 100 / size.width,
        "y": y * 100 / size.height,
        "width": w * 100 / size.width,
        "height": h * 100 / size.height,
        "rotation": 0,
    }


def _percent(ring: Ring, size: Size) -> list[list[float]]:
    points: list[list[float]] = (ring * 100 / [size.width, size.height]).tolist()
    return points
