"""On real data both engines say the same, and so do our own matches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detect_tl.api.evaluation import truth_of
from detect_tl.core.detections import Detections
from detect_tl.evaluation.coco_eval import score
from detect_tl.evaluation.precision import average_precision, mean_ap
from detect_tl.evaluation.sheet import make_sheet
from detect_tl.evaluation.truth import Truth, unpack_mask
from detect_tl.formats.detect import read_dataset

# crowds, several parts and holes; many small objects; outlines; boxes only
SETS = ("coco_coco128_0hye", "coco_rf_rbc/valid", "via_balloon", "voc_cvat_fruit9", "kitti3")


def about(truth: Truth, seed: int, *, masks: bool) -> Iterator[tuple[int, Detections]]:
    """Detections near the objects, some of another class, some twice, and some where nothing is."""
    rng = np.random.default_rng(seed)
    for image in truth.images:
        mine = [item for item in truth.objects if item.image_id == image.id]
        rows = [item for item in mine for _ in range(rng.integers(0, 3))]
        if not rows:
            continue
        boxes = np.array([item.box for item in rows], np.float32)
        sides = boxes[:, 2:] - boxes[:, :2]
        boxes += rng.normal(0, 0.08, boxes.shape).astype(np.float32) * np.tile(sides, 2)
        labels = np.array([item.category for item in rows])
        other = rng.random(len(rows)) < 0.1
        labels[other] = rng.integers(0, len(truth.names), other.sum())
        bitmaps = None
        if masks:
            shape = image.size.height, image.size.width
            empty = np.zeros(shape, np.bool_)
            bitmaps = np.stack(
                [
                    np.roll(empty if item.mask is None else unpack_mask(item.mask), 2, axis=1)
                    for item in rows
                ]
            )
        yield image.id, Detections(boxes, rng.random(len(rows)).astype(np.float32), labels, bitmaps)


@pytest.mark.parametrize("name", SETS)
def test_all_say_the_same(shared: Path, name: str) -> None:
    dataset = read_dataset(shared / "data" / name).dataset
    masks = dataset.has_masks
    truth = truth_of(dataset, masks=masks)
    sheet = make_sheet(truth, about(truth, 3, masks=masks), names=truth.names, masks=masks)
    ours, theirs = (score(sheet, engine) for engine in ("faster-coco-eval", "pycocotools"))
    assert len(sheet.found) >= 5
    for kind, a, b in zip(
        sheet.kinds, (ours.box, ours.mask), (theirs.box, theirs.mask), strict=False
    ):
        assert a is not None
        assert b is not None
        assert a.map50_95 == pytest.approx(
            mean_ap(average_precision(sheet.matches(kind))), abs=1e-6
        )
        numbers = [
            [s.map50_95, s.map50, s.map75, s.small, s.medium, s.large, s.ar]
            + [value for each in s.per_class for value in (each.ap, each.ap50)]
            for s in (a, b)
        ]
        assert numbers[0] == [None if x is None else pytest.approx(x, abs=1e-6) for x in numbers[1]]
