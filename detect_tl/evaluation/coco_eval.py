"""Average precision as COCO counts it, the same for every engine that runs the model.

faster-coco-eval computes it; pycocotools does too, several times slower, and says the same.

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
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.findings import Finding
from detect_tl.evaluation.metrics import ClassScores, Metrics, Scores
from detect_tl.evaluation.overlaps import Kind
from detect_tl.evaluation.sheet import MAX_DETECTIONS, Sheet, make_sheet, region
from detect_tl.evaluation.truth import Truth

Engine = Literal["faster-coco-eval", "pycocotools"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

_AREAS = ("all", "small", "medium", "large")  # the order in which both engines keep them


def evaluate(
    truth: Path | Mapping[str, Any] | Truth,
    predictions: Iterable[tuple[int, Detections]],
    *,
    names: Sequence[str],
    masks: bool = False,
    max_det: int = MAX_DETECTIONS,
    engine: Engine = "faster-coco-eval",
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
    return score(make_sheet(truth, predictions, names=names, masks=masks, max_det=max_det), engine)


def score(sheet: Sheet, engine: Engine = "faster-coco-eval") -> Metrics:
    """Score a split. Both engines give the same numbers."""
    truth = sheet.truth
    scores = [_score(sheet, kind, engine) for kind in sheet.kinds]
    return Metrics(
        box=scores[0],
        mask=scores[1] if sheet.masks else None,
        images=len(truth.images),
        objects=sum(not item.iscrowd for item in truth.objects),
        crowds=sum(item.iscrowd for item in truth.objects),
        detections=len(sheet.found),
        findings=tuple(_findings(sheet)),
    )


def _score(sheet: Sheet, kind: Kind, engine: Engine) -> Scores:
    if engine == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        from faster_coco_eval import COCO, COCOeval_faster as COCOeval

    with redirect_stdout(io.StringIO()):  # pycocotools reports its progress by printing
        truth, results = (_index(COCO, d) for d in (_truths(sheet, kind), _results(sheet, kind)))
        run = COCOeval(truth, results, kind)
        run.params.imgIds = sheet.image_ids
        run.params.catIds = list(range(len(sheet.classes)))
        run.params.maxDets = [sheet.max_det]
        run.evaluate()
        run.accumulate()
    # precision: (10 thresholds, 101 recalls, classes, 4 areas, 1); recall: the same but 101
    precision, recall = run.eval["precision"][..., 0], run.eval["recall"][..., 0]
    return _summarise(precision, recall, sheet.truth, sheet.classes)


def _index(kind: Any, dataset: dict[str, Any]) -> Any:
    index = kind()
    index.dataset = dataset
    index.createIndex()
    return index


def _truths(sheet: Sheet, kind: Kind) -> dict[str, Any]:
    objects = sheet.objects(kind)
    sizes = sheet.truth.size_of()
    annotations = [
        {
            "id": number,  # from 1: to pycocotools an annotation with id 0 counts as never found
            "image_id": item.image_id,
            "category_id": item.category,
            "bbox": list(item.box.xywh),
            "area": item.area,
            "iscrowd": int(crowd),
            "segmentation": region(item, sizes[item.image_id]) if kind == "segm" else None,
        }
        for number, (item, crowd) in enumerate(
            zip(sheet.items, objects.crowd.tolist(), strict=True), start=1
        )
    ]
    return {**_frame(sheet), "annotations": annotations}


def _results(sheet: Sheet, kind: Kind) -> dict[str, Any]:
    from pycocotools import mask as coder

    found, ids = sheet.found, sheet.image_ids
    shapes: Sequence[Any] = [None] * len(found)
    areas: list[float] = (found.xywh[:, 2] * found.xywh[:, 3]).tolist()
    if kind == "segm":
        assert found.masks is not None
        shapes = found.masks
        areas = [float(coder.area(shape)) for shape in shapes]
    columns = (found.image, found.category, found.xywh, found.score)
    rows = zip(*(column.tolist() for column in columns), areas, shapes, strict=True)
    annotations = [
        {
            "id": number,
            "image_id": ids[image],
            "category_id": category,
            "bbox": box,
            "score": confidence,
            "area": area,
            "iscrowd": 0,
            "segmentation": shape,
        }
        for number, (image, category, box, confidence, area, shape) in enumerate(rows, start=1)
    ]
    return {**_frame(sheet), "annotations": annotations}


def _frame(sheet: Sheet) -> dict[str, Any]:
    images = [
        {"id": image.id, "width": image.size.width, "height": image.size.height}
        for image in sheet.truth.images
    ]
    return {"images": images, "categories": [{"id": k} for k in range(len(sheet.classes))]}


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


def _findings(sheet: Sheet) -> Iterator[Finding]:
    """Yield what a reader of the numbers must know to read them rightly."""
    truth = sheet.truth
    if not any(not item.iscrowd for item in truth.objects):
        yield Finding("eval.no-truth", "warning", "the truth has no objects: nothing can be scored")
    scored = np.bincount(sheet.found.category, minlength=len(sheet.classes))
    held = Counter(item.category for item in truth.objects)
    for number, name in enumerate(sheet.classes):
        if name not in truth.names:
            yield Finding(
                "eval.class-not-in-truth",
                "warning",
                f"the truth has no category {name!r}: the {scored[number]} detections of it count "
                "neither for nor against the model",
            )
        elif name not in sheet.names:
            yield Finding(
                "eval.class-not-in-model",
                "warning" if held[number] else "info",
                f"the model does not know {name!r}: its {held[number]} objects cannot be found",
            )
    bare = sum(item.mask is None for item in truth.objects) if sheet.masks else 0
    if bare:
        yield Finding(
            "eval.object-without-mask",
            "warning",
            f"{bare} objects have a box but no mask: masks are not judged where they are",
        )
