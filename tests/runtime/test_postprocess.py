from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.detections import Detections
from detect_tl.core.geometry import Size
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.masks import decode_masks
from detect_tl.runtime.postprocess import decode, suppress
from detect_tl.runtime.preprocess import Letterbox

SQUARE = Letterbox.fit(Size(640, 640), (640, 640))


def spec_of(classes: int, **options: object) -> ModelSpec:
    return ModelSpec(names=tuple(f"c{i}" for i in range(classes)), **options)


def random_output(seed: int, classes: int, anchors: int = 400, coefficients: int = 0) -> np.ndarray:
    """Clustered boxes, so that many overlap; few scores are high."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 640, (12, 2))[rng.integers(0, 12, anchors)]
    boxes = np.hstack(
        (centres + rng.normal(0, 12, (anchors, 2)), rng.uniform(20, 90, (anchors, 2)))
    )
    scores = rng.uniform(0, 1, (anchors, classes)) ** 4
    extra = rng.normal(0, 1, (anchors, coefficients))
    return np.hstack((boxes, scores, extra)).T.astype(np.float32)[None]


def iou_matrix(a: np.ndarray) -> np.ndarray:
    low = np.maximum(a[:, None, :2], a[None, :, :2])
    high = np.minimum(a[:, None, 2:], a[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area = (a[:, 2:] - a[:, :2]).prod(1)
    return shared / (area[:, None] + area[None] - shared)


def rows(found: Detections) -> np.ndarray:
    return np.column_stack((found.xyxy, found.score, found.class_id))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.sampled_from([1, 2, 5]),
    conf=st.sampled_from([0.001, 0.25, 0.9]),
    iou=st.sampled_from([0.0, 0.45, 0.7, 1.0]),
    most=st.sampled_from([1, 10, 300]),
    multi_label=st.booleans(),
    agnostic=st.booleans(),
    some=st.sampled_from([None, [0], [0, 1]]),
)
def test_the_same_rows_as_ultralytics(
    *,
    seed: int,
    classes: int,
    conf: float,
    iou: float,
    most: int,
    multi_label: bool,
    agnostic: bool,
    some: list[int] | None,
) -> None:
    import torch
    from ultralytics.utils.nms import non_max_suppression

    raw = random_output(seed, classes)
    (ours,) = decode(
        [raw], spec_of(classes), [SQUARE], conf=conf, iou=iou, max_det=most, classes=some,
        multi_label=multi_label, agnostic=agnostic,
    )  # fmt: skip
    (theirs,) = non_max_suppression(
        torch.from_numpy(raw.copy()), conf, iou, some, agnostic, multi_label, max_det=most,
        max_time_img=60,
    )  # fmt: skip
    expected = theirs.numpy()
    expected[:, :4] = expected[:, :4].clip(0, 640)
    assert len(ours) == len(expected)
    assert rows(ours) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.sampled_from([0, 1, 30, 700]),
    iou=st.floats(0, 1),
    most=st.integers(1, 400),
    grouped=st.booleans(),
)
def test_laws_of_suppression(seed: int, n: int, iou: float, most: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    xyxy = rng.uniform(0, 100, (n, 4)).astype(np.float32)
    xyxy[:, 2:] = xyxy[:, :2] + rng.uniform(5, 40, (n, 2))
    groups = rng.integers(0, 3, n) if grouped else None
    kept = suppress(xyxy, groups, iou, most)
    assert len(kept) <= most
    assert (np.diff(kept) > 0).all()
    same = np.ones((n, n), bool) if groups is None else groups[:, None] == groups[None]
    over = (iou_matrix(xyxy) > iou + 1e-4) & same
    # Survivors do not overlap, and whatever was dropped before the last of them had a better rival.
    assert not np.triu(over[np.ix_(kept, kept)], 1).any()
    reached = n if len(kept) < most else (kept[-1] if len(kept) else 0)
    near = (iou_matrix(xyxy) > iou - 1e-4) & same
    for dropped in np.setdiff1d(np.arange(reached), kept):
        assert near[kept[kept < dropped], dropped].any()


def test_boxes_of_high_class_ids_are_compared_exactly() -> None:
    """A class offset of thousands of pixels in float32 would round these to the same box."""
    names = 20_000
    raw = np.zeros((1, 4 + names, 2), np.float32)
    raw[0, :4, 0] = 10, 10, 4, 4
    raw[0, :4, 1] = 12.2, 10, 4, 4  # overlaps by 1.8 of 4: IoU 0.290
    raw[0, -1] = 0.9, 0.8
    assert len(decode([raw], spec_of(names), [SQUARE], iou=0.28)[0]) == 1
    assert len(decode([raw], spec_of(names), [SQUARE], iou=0.30)[0]) == 2


def test_scores_at_the_threshold_are_left_out() -> None:
    raw = np.zeros((1, 5, 2), np.float32)
    raw[0, :, 0] = 10, 10, 5, 5, 0.25
    raw[0, :, 1] = 50, 50, 5, 5, 0.250001
    (found,) = decode([raw], spec_of(1), [SQUARE], conf=0.25)
    assert found.xyxy.tolist() == [[47.5, 47.5, 52.5, 52.5]]


def test_nothing_found() -> None:
    raw = np.zeros((2, 4 + 3, 50), np.float32)
    assert [len(d) for d in decode([raw], spec_of(3), [SQUARE, SQUARE])] == [0, 0]
    segment = spec_of(3, task="segment")
    outputs = [np.zeros((1, 4 + 3 + 8, 50), np.float32), np.zeros((1, 8, 160, 160), np.float32)]
    (found,) = decode(outputs, segment, [SQUARE])
    assert found.mask is not None
    assert found.mask.shape == (0, 640, 640)


def test_end_to_end_rows_are_only_filtered_and_sorted() -> None:
    raw = np.array([[[1, 1, 9, 9, 0.3, 1], [1, 1, 9, 9, 0.9, 0], [2, 2, 9, 9, 0.1, 0]]], np.float32)
    (found,) = decode([raw], spec_of(2, end2end=True), [SQUARE], multi_label=True)
    assert found.score.tolist() == pytest.approx([0.9, 0.3])
    assert found.class_id.tolist() == [0, 1]
    (one,) = decode([raw], spec_of(2, end2end=True), [SQUARE], max_det=1, classes=[1])
    assert one.class_id.tolist() == [1]


def test_each_image_of_a_batch_has_its_own_letterbox() -> None:
    raw = np.repeat(random_output(3, 2), 2, axis=0)
    boxes = [Letterbox.fit(Size(320, 320), (640, 640)), Letterbox.fit(Size(1280, 640), (640, 640))]
    small, wide = decode([raw], spec_of(2), boxes)
    assert small.score.tolist() == wide.score.tolist()
    assert small.xyxy.max() <= 320
    clear = (wide.xyxy[:, 1] > 0) & (wide.xyxy[:, 3] < 640) & (small.xyxy.max(1) < 320)
    y_small = small.xyxy[clear][:, [1, 3]]
    assert wide.xyxy[clear][:, [1, 3]] == pytest.approx((y_small * 2 - 160) * 2, abs=1e-2)


SIZES = [Size(640, 480), Size(333, 500), Size(160, 120), Size(1280, 720), Size(41, 640)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_masks_agree_with_ultralytics(size: Size) -> None:
    import torch
    from ultralytics.utils.ops import process_mask_native

    rng = np.random.default_rng(0)
    letterbox = Letterbox.fit(size, (640, 640))
    # Smooth prototypes, as real ones are: noise would differ by how it is enlarged.
    low = torch.from_numpy(rng.normal(0, 1, (1, 8, 12, 12)).astype(np.float32))
    prototypes = torch.nn.functional.interpolate(low, (160, 160), mode="bicubic")[0].numpy()
    coefficients = rng.normal(0, 1, (20, 8)).astype(np.float32)
    low_corner = rng.uniform(0, 0.7, (20, 2)) * size
    xyxy = np.hstack((low_corner, low_corner + rng.uniform(0.1, 0.6, (20, 2)) * size))
    xyxy = np.clip(xyxy, 0, [*size, *size]).astype(np.float32)
    ours = decode_masks(prototypes, coefficients, xyxy, letterbox)
    theirs = process_mask_native(
        *map(torch.from_numpy, (prototypes, coefficients, xyxy)), (size.height, size.width)
    ).numpy()
    assert ours.shape == theirs.shape
    both, either = (ours & (theirs > 0)).sum((1, 2)), (ours | (theirs > 0)).sum((1, 2))
    assert (both / np.maximum(either, 1)).mean() > 0.985
    assert both.sum() / either.sum() > 0.99


def test_a_mask_ends_at_its_box_and_lies_where_its_prototype_is() -> None:
    size = Size(320, 160)  # enlarged twice, 160 rows of padding above and below
    letterbox = Letterbox.fit(size, (640, 640))
    prototypes = np.full((1, 160, 160), -1, np.float32)
    prototypes[0, 60:100, 40:80] = 1  # image x 80..160, y (60*4-160)/2=40..120
    xyxy = np.array([[0, 0, 320, 160], [100.5, 0, 320, 100]], np.float32)
    whole, cut = decode_masks(prototypes, np.ones((2, 1), np.float32), xyxy, letterbox)
    expected = np.zeros((160, 320), bool)
    expected[40:120, 80:160] = True
    assert np.array_equal(whole, expected)
    expected[:, :101] = False
    expected[100:] = False
    assert np.array_equal(cut, expected)


def test_a_box_without_area_has_an_empty_mask() -> None:
    xyxy = np.array([[10, 10, 10, 40], [700, 10, 640, 20]], np.float32)
    ones = np.ones((1, 160, 160), np.float32)
    masks = decode_masks(ones, np.ones((2, 1), np.float32), xyxy, SQUARE)
    assert not masks.any()
