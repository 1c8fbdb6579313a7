"""Figures of a data set, those of COCO sets held against pycocotools."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from detect_tl.core.dataset import Category, Dataset, Instance, Sample
from detect_tl.core.geometry import Box, PolygonMask, Size, bitmap_to_rle, box_ring
from detect_tl.curate.overview import overview
from detect_tl.formats.detect import read_dataset

SIZE = Size(200, 100)


def square(x: float, y: float, side: float) -> Box:
    return Box(x, y, x + side, y + side)


@pytest.fixture
def made() -> Dataset:
    ring = box_ring(square(0, 0, 40))
    masked = Instance(0, square(0, 0, 100), PolygonMask((ring, ring + 50), (ring / 4 + 5,)))
    rle = Instance(1, square(0, 0, 100), bitmap_to_rle(np.ones((100, 200), np.uint8)), iscrowd=True)
    items = (Instance(0, square(10, 10, 10)), Instance(1, Box(100, 0, 200, 25)), masked, rle)
    samples = (
        Sample(Path("a.jpg"), SIZE, items, "train"),
        Sample(Path("b.jpg"), SIZE, (), "val"),
        Sample(Path("c.jpg"), Size(50, 50), items[:1]),
    )
    return Dataset((Category("cat"), Category("dog"), Category("cow")), samples)


def test_everything_is_counted(made: Dataset) -> None:
    figures = overview(made)
    assert (figures.images, figures.objects, figures.crowds) == (3, 5, 1)
    assert figures.splits["none"] == {"images": 1, "objects": 1, "without_objects": 0}
    assert figures.splits["val"] == {"images": 1, "objects": 0, "without_objects": 1}
    cat, dog, cow = figures.classes.values()
    assert (cat.images, cat.objects, cat.crowds) == (2, 3, 0)
    assert cat.splits == {"train": 2, "none": 1}
    assert cat.sizes == {"small": 2, "medium": 1, "large": 0}  # 3,100 pixels of mask, not 10,000
    assert (dog.objects, dog.crowds, sum(dog.sizes.values())) == (2, 1, 1)
    assert (cow.images, cow.objects) == (0, 0)
    assert figures.masks == {
        "box only": 3, "polygons": 1, "run lengths": 1, "several parts": 1, "with holes": 1,
    }  # fmt: skip
    assert figures.ratios["≥ 4"] == 1
    assert figures.ratios["0.8 – 1.25"] == 3
    assert figures.objects_per_image == {"0": 1, "1": 1, "2 – 3": 0, "4 – 7": 1}
    assert figures.objects_per_image_mean == pytest.approx(5 / 3)
    assert figures.objects_per_image_median == 1
    assert figures.image_sizes == {"200x100": 2, "50x50": 1}
    assert figures.places[0][3] == 1  # the dog, on top, right of the middle
    for histogram in (figures.sizes, figures.lengths, figures.ratios):
        assert sum(histogram.values()) == 4
    assert sum(map(sum, figures.places)) == 4
    json.dumps(figures.as_json())


def test_nothing_can_be_counted_too() -> None:
    figures = overview(Dataset((), ()))
    assert figures.images == figures.objects == 0
    assert figures.classes == {}
    flat = Sample(Path("a.jpg"), Size(0, 0), (Instance(0, Box(5, 5, 5, 9)),))
    figures = overview(Dataset((Category("cat"),), (flat,)))
    assert figures.objects == 1
    assert sum(figures.ratios.values()) == 0


def test_pycocotools_counts_the_same(shared: Path) -> None:
    path = shared / "data/coco_coco128_0hye/annotations/instances_train2017.json"
    figures = overview(read_dataset(path).dataset)
    with redirect_stdout(StringIO()):
        truth = COCO(path)
    assert figures.images == len(truth.getImgIds())
    assert figures.objects == len(truth.getAnnIds())
    assert figures.crowds == len(truth.getAnnIds(iscrowd=True))
    for number, record in truth.cats.items():
        found = figures.classes[record["name"]]
        assert found.objects == len(truth.getAnnIds(catIds=[number]))
        assert found.images == len(truth.getImgIds(catIds=[number]))
    # the file's own areas, rounded otherwise than the outlines', may lie across an edge
    edges = {"small": [0, 32**2], "medium": [32**2, 96**2], "large": [96**2, 1e10]}
    for size, area in edges.items():
        wanted = len(truth.getAnnIds(areaRng=area, iscrowd=False))
        assert abs(figures.sizes[size] - wanted) <= 2
