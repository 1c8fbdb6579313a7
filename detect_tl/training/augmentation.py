"""An augmentation as one step of Ultralytics' training data.

Ultralytics can be given transforms of albumentations too; then outlines of segmentation are moved
by their vertices, which goes wrong by up to a pixel under a flip. So its step is replaced whole.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from detect_tl.augment.find import find_augmentation
from detect_tl.augment.pipeline import Pipeline
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.geometry import Box, PolygonMask, Ring
from detect_tl.core.masks import join_rings
from detect_tl.core.objects import Instance
from detect_tl.models.yolo import Albumentations, Instances, resample_segments

ULTRALYTICS = "ultralytics"
"""The name of its own augmentation, which stays as it is."""

_POINTS = 1000  # as many as Ultralytics gives to every outline
_GREY = 114  # its colour for what lies outside a picture


def chosen_augmentation(name: str) -> Augmentation | None:
    """What `name` stands for, checked; None for Ultralytics' own.

    Raises UsageError for an unknown name, transform or parameter, DataError for a broken file.
    """
    if name == ULTRALYTICS:
        return None
    found = find_augmentation(name)
    Pipeline(found)
    return found


def ultralytics_settings(augmentation: Augmentation | None) -> dict[str, float]:
    """What Ultralytics leaves to an augmentation: colours and flips, blur by `install`.

    Mosaic stays, and the scaling and shifting by which it makes one picture of four. Beside an
    augmentation without any step nothing stays.
    """
    if augmentation is None:
        return {}
    left = dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "fliplr", "flipud"), 0.0)
    if augmentation.steps:
        return left
    return {**left, **dict.fromkeys(("mosaic", "close_mosaic", "scale", "translate"), 0)}


class Augment:
    """Called by Ultralytics with one training picture and its labels.

    Random is what Python's global generator says, which is seeded for every epoch and worker.
    text: the augmentation, written out.
    """

    def __init__(self, augmentation: Augmentation, imgsz: int) -> None:
        side = {"min_height": imgsz, "min_width": imgsz, "fill": _GREY, "p": 1.0}
        square = Step("LongestMaxSize", {"max_size": imgsz, "p": 1.0}), Step("PadIfNeeded", side)
        self.text = augmentation.as_yaml()
        # A batch needs pictures of one size, whatever a crop or a turn made of them.
        self._pipeline = Pipeline(
            augmentation.then(*square) if augmentation.steps else augmentation
        )

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `cls` and `instances` of `labels`, which it returns."""
        image, before = labels["img"], labels["instances"]
        height, width = image.shape[:2]
        before.convert_bbox("xyxy")
        before.denormalize(width, height)
        items = _items(labels["cls"], before)
        done = self._pipeline(image, items, random.getrandbits(32))
        rows = [int(item.attributes["row"]) for item in done.instances]  # type: ignore[arg-type]
        labels["img"] = done.image
        labels["cls"] = labels["cls"][rows]
        labels["instances"] = Instances(
            np.asarray([item.box for item in done.instances], np.float32).reshape(-1, 4),
            _segments(done.instances, before.segments, len(items)),
            bbox_format="xyxy",
            normalized=False,
        )
        return labels


def install(dataset: Any, augment: Augment) -> None:
    """Put `augment` in the place of Ultralytics' blur, grey and CLAHE.

    Raises RuntimeError when a later Ultralytics has no such place.
    """
    steps = dataset.transforms.transforms
    places = [k for k, step in enumerate(steps) if isinstance(step, Albumentations)]
    if len(places) != 1:
        raise RuntimeError(f"Ultralytics has {len(places)} places for an augmentation")
    steps[places[0]] = augment


def _items(classes: Any, before: Any) -> list[Instance]:
    """Its labels as ours; `row` says which one an object was."""
    outlines = before.segments if len(before.segments) == len(classes) else [None] * len(classes)
    return [
        Instance(
            int(category),
            Box(*map(float, box)),
            None if ring is None else PolygonMask((np.asarray(ring, np.float64),)),
            attributes={"row": row},
        )
        for row, (category, box, ring) in enumerate(
            zip(classes.reshape(-1), before.bboxes, outlines, strict=True)
        )
    ]


def _segments(items: tuple[Instance, ...], before: Any, count: int) -> Any:
    """One ring an object, all of the same number of points: (n, points, 2) float32."""
    if len(before) != count or not items:
        return np.zeros((0, _POINTS, 2), np.float32)
    rings: list[Ring] = [
        join_rings(item.mask).astype(np.float32)
        for item in items
        if isinstance(item.mask, PolygonMask)
    ]
    points = max(_POINTS, *(len(ring) + 1 for ring in rings))
    return np.stack(resample_segments(rings, n=points)).astype(np.float32)
