"""Average precision by pycocotools, the same for every engine that runs the model.

Two choices differ from the `COCOeval.summarize` of the COCO challenge, and agree with Ultralytics'
validator: up to 300 detections of a class count in an image instead of 100 (a microscope slide has
more than 100 cells), and a class without truth is left out of the mean instead of being -1.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.findings import Finding
from detect_tl.core.geometry import Size
from detect_tl.evaluation.metrics import ClassScores, Metrics, Scores
from detect_tl.evaluation.truth import Rle, Truth, TruthObject, load_truth

MAX_DETECTIONS = 300

_Kind = Literal["bbox", "segm"]
_AREAS = ("all", "small", "medium", "large")  # the order in which pycocotools keeps them


def evaluate(
    truth: Path | Mapping[str, Any] | Truth,
    predictions: Iterable[tuple[int, Detections]],
    *,
    names: Sequence[str],
    masks: bool = False,
    max_det: int = MAX_DETECTIONS,
) -> Metrics:
    """Score predictions against the truth of one split.

    truth: COCO JSON (a file, or parsed), or what `load_truth` made of it.
    predictions: (image id, detections) in any order; an image that is not named has none.
    names: the model's class names; they meet the truth's categories by name, never by number.
    masks: score masks too; objects without one become regions in which nothing is judged.
    max_det: best detections of a class that count in an image.

    Raises DataError for a truth that cannot be used or a prediction for an image it does not have,
    UsageError when masks are asked of a model that gives none.
    """
    known = truth if isinstance(truth, Truth) else load_truth(truth, masks=masks)
    classes = [*known.names, *(name for name in names if name not in known.names)]
    rows = list(_rows(known, predictions, [classes.index(name) for name in names], masks=masks))
    kinds: tuple[_Kind, ...] = ("bbox", "segm") if masks else ("bbox",)
    scores = [_score(known, rows, classes, kind, max_det) for kind in kinds]
    return Metrics(
        box=scores[0],
        mask=scores[1] if masks else None,
        images=len(known.images),
        objects=sum(not item.iscrowd for item in known.objects),
        crowds=sum(item.iscrowd for item in known.objects),
        detections=len(rows),
        findings=tuple(_findings(known, names, rows, classes, masks=masks)),
    )


def _rows(
    truth: Truth,
    predictions: Iterable[tuple[int, Detections]],
    category_of: Sequence[int],
    *,
    masks: bool,
) -> Iterator[dict[str, Any]]:
    """Yield one pycocotools result per detection; `category_of` maps the model's class ids."""
    sizes = truth.size_of()
    for image_id, found in predictions:
        if image_id not in sizes:
            raise DataError(f"there is a prediction for image {image_id}, which the truth lacks")
        packed = _pack(found, sizes[image_id]) if masks else [None] * len(found)
        boxes, scores = found.xyxy.astype(float).tolist(), found.score.astype(float).tolist()
        for box, score, label, mask in zip(
            boxes, scores, found.class_id.tolist(), packed, strict=True
        ):
            x1, y1, x2, y2 = box
            yield {
                "image_id": image_id,
                "category_id": category_of[label],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
                "segmentation": mask,
            }


def _pack(found: Detections, size: Size) -> list[Rle]:
    from pycocotools import mask as coder

    if not len(found):
        return []
    if found.mask is None:
        raise UsageError(
            "masks cannot be evaluated: this model gives boxes only",
            hint="Evaluate its boxes, or train with --task segment.",
        )
    if found.mask.shape[1:] != (size.height, size.width):
        raise DataError(f"a predicted mask is {found.mask.shape[1:]}, its image {size}")
    columns = np.asfortranarray(found.mask.transpose(1, 2, 0).astype(np.uint8))
    return [dict(rle) for rle in coder.encode(columns)]


def _score(
    truth: Truth, rows: Sequence[dict[str, Any]], classes: Sequence[str], kind: _Kind, max_det: int
) -> Scores:
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):  # pycocotools reports its progress by printing
        run = COCOeval(_truth_index(truth, classes, kind), _result_index(truth, rows, kind), kind)
        run.params.imgIds = [image.id for image in truth.images]
        run.params.catIds = list(range(len(classes)))
        run.params.maxDets = [max_det]
        run.evaluate()
        run.accumulate()
    # precision: (10 thresholds, 101 recalls, classes, 4 areas, 1); recall: the same but 101
    return _summarise(run.eval["precision"][..., 0], run.eval["recall"][..., 0], truth, classes)


def _index(dataset: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    index = COCO()
    index.dataset = dataset
    index.createIndex()
    return index


def _truth_index(truth: Truth, classes: Sequence[str], kind: _Kind) -> Any:
    sizes = truth.size_of()
    annotations = [
        {
            "id": number,  # from 1: to pycocotools an annotation with id 0 counts as never found
            "image_id": item.image_id,
            "category_id": item.category,
            "bbox": list(item.box.xywh),
            "area": item.area,
            **_region(item, sizes[item.image_id], kind),
        }
        for number, item in enumerate(truth.objects, start=1)
    ]
    return _index({**_frame(truth, len(classes)), "annotations": annotations})


def _region(item: TruthObject, size: Size, kind: _Kind) -> dict[str, Any]:
    """What pycocotools compares: an object without a mask is ignored where masks are judged."""
    if kind == "bbox" or item.mask is not None:
        return {"iscrowd": int(item.iscrowd), "segmentation": item.mask}
    from pycocotools import mask as coder

    box = np.array([item.box.xywh], dtype=np.float64)
    return {"iscrowd": 1, "segmentation": dict(coder.frPyObjects(box, size.height, size.width)[0])}


def _result_index(truth: Truth, rows: Sequence[dict[str, Any]], kind: _Kind) -> Any:
    from pycocotools import mask as coder

    if kind == "segm":
        areas = [float(coder.area(row["segmentation"])) for row in rows]
    else:
        areas = [row["bbox"][2] * row["bbox"][3] for row in rows]
    results = [
        {**row, "id": number, "area": area, "iscrowd": 0}
        for number, (row, area) in enumerate(zip(rows, areas, strict=True), start=1)
    ]
    return _index({**_frame(truth, 0), "annotations": results})


def _frame(truth: Truth, class_count: int) -> dict[str, Any]:
    images = [
        {"id": image.id, "width": image.size.width, "height": image.size.height}
        for image in truth.images
    ]
    return {"images": images, "categories": [{"id": number} for number in range(class_count)]}


def _summarise(
    precision: NDArray[np.float64],
    recall: NDArray[np.float64],
    truth: Truth,
    classes: Sequence[str],
) -> Scores:
    every, small, medium, large = (precision[..., number] for number in range(len(_AREAS)))
    objects = Counter(item.category for item in truth.objects if not item.iscrowd)
    pairs = {(item.category, item.image_id) for item in truth.objects if not item.iscrowd}
    images = Counter(category for category, _ in pairs)
    return Scores(
        map50_95=_mean(every),
        map50=_mean(every[0]),
        map75=_mean(every[5]),
        small=_mean(small),
        medium=_mean(medium),
        large=_mean(large),
        ar=_mean(recall[..., 0]),
        per_class=tuple(
            ClassScores(
                name, images[k], objects[k], ap=_mean(every[..., k]), ap50=_mean(every[0, :, k])
            )
            for k, name in enumerate(classes)
        ),
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    """Mean of what is defined; pycocotools marks a class without truth by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _findings(
    truth: Truth,
    names: Sequence[str],
    rows: Sequence[dict[str, Any]],
    classes: Sequence[str],
    *,
    masks: bool,
) -> Iterator[Finding]:
    """Yield what a reader of the numbers must know to read them rightly."""
    if not any(not item.iscrowd for item in truth.objects):
        yield Finding("eval.no-truth", "warning", "the truth has no objects: nothing can be scored")
    scored = Counter(row["category_id"] for row in rows)
    held = Counter(item.category for item in truth.objects)
    for number, name in enumerate(classes):
        if name not in truth.names:
            yield Finding(
                "eval.class-not-in-truth",
                "warning",
                f"the truth has no category {name!r}: the {scored[number]} detections of it count "
                "neither for nor against the model",
            )
        elif name not in names:
            yield Finding(
                "eval.class-not-in-model",
                "warning" if held[number] else "info",
                f"the model does not know {name!r}: its {held[number]} objects cannot be found",
            )
    bare = sum(item.mask is None for item in truth.objects) if masks else 0
    if bare:
        yield Finding(
            "eval.object-without-mask",
            "warning",
            f"{bare} objects have a box but no mask: masks are not judged where they are",
        )
