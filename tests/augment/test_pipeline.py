"""Laws of augmented pictures: objects stay on their pixels, and nothing is lost in silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from detect_tl.augment.catalog import transform_names
from detect_tl.augment.find import augmentation_names, find_augmentation
from detect_tl.augment.pipeline import Augmented, Pipeline
from detect_tl.augment.spec import Augmentation, Step
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import (
    Box,
    PolygonMask,
    RleMask,
    Size,
    bitmap_to_rle,
    box_iou,
    box_ring,
    mask_box,
)
from detect_tl.core.masks import draw_mask
from detect_tl.core.objects import Instance
from tests.formats.worlds import instances

SIZE = Size(200, 150)
# What a transform cannot do without.
NEEDS: dict[str, dict[str, Any]] = {
    "AtLeastOneBBoxRandomCrop": {"height": 100, "width": 140},
    "CenterCrop": {"height": 100, "width": 140},
    "Crop": {"x_max": 180, "y_max": 140},
    "CropAndPad": {"percent": (-0.1, 0.1)},
    "CropNonEmptyMaskIfExists": {"height": 100, "width": 140},
    "LongestMaxSize": {"max_size": 160},
    "RandomCrop": {"height": 100, "width": 140},
    "RandomResizedCrop": {"size": (150, 200), "scale": (0.5, 1.0)},
    "RandomSizedBBoxSafeCrop": {"height": 150, "width": 200},
    "RandomSizedCrop": {"min_max_height": (90, 140), "size": (150, 200)},
    "Resize": {"height": 130, "width": 180},
    "SmallestMaxSize": {"max_size": 130},
}


def one(name: str, **parameters: Any) -> Pipeline:
    return Pipeline(Augmentation(name, steps=(Step(name, {"p": 1.0, **parameters}),)))


def by_category(done: Augmented) -> dict[int, Instance]:
    return {item.category: item for item in done.instances}


def size_of(done: Augmented) -> Size:
    return Size(done.image.shape[1], done.image.shape[0])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("name", transform_names())
def test_boxes_and_masks_follow_the_picture(name: str) -> None:
    """A white rectangle is labelled twice, with and without a mask; both must stay on it."""
    pipeline = one(name, **NEEDS.get(name, {}))
    boxes, pixels = [], []
    for seed in range(5):
        left, top = 50 + 7 * seed, 40 + 5 * seed
        box = Box(left, top, left + 48, top + 40)
        image = np.zeros((SIZE.height, SIZE.width, 3), np.uint8)
        image[top : top + 40, left : left + 48] = 255
        pair = [Instance(0, box), Instance(1, box, PolygonMask((box_ring(box),)))]
        done = pipeline(image, pair, seed)
        found = by_category(done)
        assert done.dropped == 2 - len(found)
        assert set(found) in ({0, 1}, set())
        if not found:
            continue
        boxes.append(box_iou(found[0].box, found[1].box))
        assert found[1].mask is not None
        drawn = draw_mask(found[1].mask, size_of(done))
        assert mask_box(bitmap_to_rle(drawn)) == found[1].box
        if _keeps_colours(name):
            pixels.append(overlap(drawn > 0, done.image[..., 0] > 127))
    assert boxes
    assert np.mean(boxes) >= 0.9
    assert not pixels or np.mean(pixels) >= 0.97


def _keeps_colours(name: str) -> bool:
    """Whether a transform moves pixels only, so that the rectangle can be seen in the result."""
    import albumentations
    from albumentations.core.transforms_interface import DualTransform

    recolours = {"GridDropout", "PixelDropout"}
    return issubclass(getattr(albumentations, name), DualTransform) and name not in recolours


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_laws_of_every_preset(data: st.DataObject) -> None:
    """Random objects: polygons with parts and holes, RLE, crowds, boxes alone."""
    name = data.draw(st.sampled_from(sorted(augmentation_names())))
    size = Size(320, 240)
    kinds = [instances(size, 5, masked=masked) for masked in (True, False)]
    made = data.draw(st.lists(st.one_of(*kinds), max_size=6))
    items = [replace(item, category=k) for k, item in enumerate(made)]
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    before = image.copy()
    seed = data.draw(st.integers(0, 2**40))
    done = Pipeline(find_augmentation(name))(image, items, seed)
    again = Pipeline(find_augmentation(name))(image, items, seed)

    assert (image == before).all()
    assert done.image.dtype == np.uint8
    assert (done.image == again.image).all()
    assert done.instances == again.instances
    assert len(done.instances) + done.dropped == len(items)
    for item in done.instances:
        source = items[item.category]
        assert (item.iscrowd, item.attributes) == (source.iscrowd, source.attributes)
        assert type(item.mask) is type(source.mask)
        if item.mask is source.mask is not None:
            continue  # nothing was moved
        if item.mask is None:
            assert item.box.clipped(size_of(done)).area > 0
            continue
        drawn = draw_mask(item.mask, size_of(done))
        assert drawn.any()
        assert mask_box(bitmap_to_rle(drawn)) == item.box


@pytest.mark.parametrize("preset", ["default", "microscopy"])
def test_other_seeds_give_other_pictures(preset: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    pipeline = Pipeline(find_augmentation(preset))
    assert len({pipeline(image, [], seed).image.tobytes() for seed in range(12)}) > 6


def test_transforms_of_the_same_probability_do_not_happen_together() -> None:
    """One seed for all of them, as albumentations gives it, would make two kinds of pictures."""
    steps = Step("HorizontalFlip", {"p": 0.5}), Step("VerticalFlip", {"p": 0.5})
    pipeline = Pipeline(Augmentation("two", steps=steps))
    image = np.arange(12, dtype=np.uint8).repeat(3).reshape(3, 4, 3)
    assert len({pipeline(image, [], seed).image.tobytes() for seed in range(40)}) == 4


def test_colours_are_taken_for_what_they_are() -> None:
    """Pictures are BGR here and RGB in albumentations: grey is mostly green, then red."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 2] = 200
    grey = one("ToGray")(image, [], 0).image
    assert (grey == round(200 * 0.299)).all()


def test_holes_and_parts_survive_a_turn() -> None:
    parts = tuple(box_ring(b) for b in (Box(10, 10, 60, 60), Box(100, 20, 140, 80)))
    mask = PolygonMask(parts, (box_ring(Box(20, 20, 40, 40)),))
    crowd = bitmap_to_rle(draw_mask(mask, SIZE))
    items = [Instance(0, mask_box(mask), mask), Instance(1, mask_box(mask), crowd, iscrowd=True)]
    image = np.zeros((150, 200, 3), np.uint8)
    done = one("Transpose")(image, items, 0)
    found = by_category(done)
    wanted = draw_mask(mask, SIZE).T
    polygon = found[0].mask
    assert isinstance(polygon, PolygonMask)
    assert (len(polygon.parts), len(polygon.holes)) == (2, 1)
    assert (draw_mask(polygon, Size(150, 200)) == wanted).all()
    assert found[1].iscrowd
    assert found[1].mask == bitmap_to_rle(np.ascontiguousarray(wanted))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_masks_are_the_pixels_of_a_drawn_mask(data: st.DataObject) -> None:
    """Whatever a polygon is like, and where it leaves the picture: drawn, then turned."""
    corner = st.tuples(st.floats(-40, 240), st.floats(-40, 190))
    rings = data.draw(st.lists(st.lists(corner, min_size=3, max_size=8), min_size=1, max_size=3))
    parts = tuple(np.asarray(ring) for ring in rings)
    mask = PolygonMask(parts[:1], parts[1:]) if data.draw(st.booleans()) else PolygonMask(parts)
    item = Instance(0, Box(0, 0, 200, 150), mask)
    done = one("Transpose")(np.zeros((150, 200, 3), np.uint8), [item], 0)
    expected = draw_mask(mask, SIZE).T
    assert bool(done.instances) == bool(expected.any())
    for found in done.instances:
        assert found.mask is not None
        assert (draw_mask(found.mask, Size(150, 200)) == expected).all()


def test_without_a_change_of_place_nothing_is_redrawn() -> None:
    ring = np.asarray([[3.25, 4.5], [60.75, 9.1], [30.3, 70.2]])
    item = Instance(2, Box(3.25, 4.5, 60.75, 70.2), PolygonMask((ring,)))
    boxed = Instance(1, Box(3.3, 4.7, 60.1, 70.9))
    done = one("ToGray")(np.zeros((150, 200, 3), np.uint8), [item, boxed], 0)
    assert done.instances[0] is item
    assert done.instances[1] is boxed


def test_what_is_erased_is_no_longer_labelled() -> None:
    """Holes of erased regions are holes of masks, and an object that is all gone is dropped."""
    image = np.full((150, 200, 3), 255, np.uint8)
    whole = Box(0, 0, 200, 150)
    items = [Instance(0, whole, PolygonMask((box_ring(whole),)))]
    holes = {
        "num_holes_range": (4, 4),
        "hole_height_range": (0.3, 0.3),
        "hole_width_range": (0.3, 0.3),
    }
    done = one("CoarseDropout", fill=0, **holes)(image, items, 3)
    mask = done.instances[0].mask
    assert mask is not None
    assert (draw_mask(mask, SIZE) == (done.image[..., 0] > 0)).all()


def test_objects_that_leave_are_dropped_and_counted() -> None:
    image = np.zeros((150, 200, 3), np.uint8)
    gone = Box(100, 100, 140, 140)
    most = Box(60, 10, 110, 40)  # 8 of its 50 pixels stay: more than a tenth
    least = Box(66, 10, 166, 40)  # 2 of 100
    items = [
        Instance(0, gone, PolygonMask((box_ring(gone),))),
        Instance(1, most),
        Instance(2, least),
        Instance(3, most, PolygonMask((box_ring(most),))),
    ]
    done = one("Crop", x_max=68, y_max=90)(image, items, 0)
    assert set(by_category(done)) == {1, 3}
    assert done.dropped == 2
    assert by_category(done)[1].box == pytest.approx(Box(60, 10, 68, 40), abs=1e-3)
    assert by_category(done)[3].box == Box(60, 10, 68, 40)


@pytest.mark.parametrize(
    "item",
    [
        Instance(0, Box(5, 5, 5, 9)),
        Instance(0, Box(float("nan"), 1, 4, 9)),
        Instance(0, Box(300, 300, 340, 340)),
        Instance(0, Box(1, 1, 20, 20), RleMask((5,), Size(2, 2))),  # of another picture
    ],
)
def test_what_cannot_be_placed_is_dropped_not_fatal(item: Instance) -> None:
    good = Instance(1, Box(20, 20, 60, 60))
    done = one("HorizontalFlip")(np.zeros((150, 200, 3), np.uint8), [item, good], 0)
    assert [i.category for i in done.instances] == [1]
    assert done.dropped == 1


def test_a_crop_of_more_than_all_is_an_error_with_words() -> None:
    with pytest.raises(UsageError, match="does not fit a picture of 20x10"):
        one("Crop", x_max=100, y_max=100)(np.zeros((10, 20, 3), np.uint8), [], 0)
