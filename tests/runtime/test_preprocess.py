from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.geometry import Size
from detect_tl.runtime.preprocess import Letterbox, preprocess

sides = st.integers(1, 3000)
targets = st.tuples(st.sampled_from([32, 64, 320, 640]), st.sampled_from([32, 96, 416, 640]))


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(sides, sides, targets)
def test_the_content_lies_inside_the_target_and_touches_two_sides(
    width: int, height: int, target: tuple[int, int]
) -> None:
    box = Letterbox.fit(Size(width, height), target)
    right, bottom = box.left + box.content.width, box.top + box.content.height
    assert 0 <= box.left <= right <= target[1]
    assert 0 <= box.top <= bottom <= target[0]
    assert box.content.width == target[1] or box.content.height == target[0]
    # Centred, the odd pixel to the right and to the bottom.
    assert 0 <= (target[1] - right) - box.left <= 1
    assert 0 <= (target[0] - bottom) - box.top <= 1


@given(sides, sides, targets)
def test_to_image_undoes_to_input(width: int, height: int, target: tuple[int, int]) -> None:
    box = Letterbox.fit(Size(width, height), target)
    xyxy = np.array([[0, 0, width, height], [width / 4, height / 3, width / 2, height]], np.float32)
    assert box.to_image(box.to_input(xyxy)) == pytest.approx(xyxy, abs=max(width, height) * 1e-5)


@given(sides, sides, targets)
def test_boxes_are_cut_at_the_border_of_the_image(
    width: int, height: int, target: tuple[int, int]
) -> None:
    box = Letterbox.fit(Size(width, height), target)
    far = np.array([[-1e6, -1e6, 1e6, 1e6]], np.float32)
    assert box.to_image(far).tolist() == [[0, 0, width, height]]


@given(sides, sides)
def test_the_rectangle_is_the_smallest_with_half_a_stride_to_spare(width: int, height: int) -> None:
    square = Letterbox.fit(Size(width, height), (640, 640))
    box = Letterbox.fit(Size(width, height), (640, 640), stride=32)
    assert box.content == square.content
    for side, content in zip(box.target, reversed(box.content), strict=True):
        assert side % 32 == 0
        assert 16 <= side - content < 48


def test_rectangles_are_used_when_one_fits_all() -> None:
    wide, tall = noise(128, 50), noise(50, 128)
    assert preprocess([wide, wide], (64, 64), stride=8)[0].shape == (2, 3, 32, 72)
    assert preprocess([wide, tall], (64, 64), stride=8)[0].shape == (2, 3, 64, 64)
    assert preprocess([], (64, 64), stride=8)[0].shape == (0, 3, 64, 64)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), targets)
def test_the_same_bits_as_ultralytics(width: int, height: int, target: tuple[int, int]) -> None:
    import torch
    from ultralytics.data.augment import LetterBox

    image = noise(width, height)
    batch, (box,) = preprocess([image], target)
    padded = LetterBox(target)(image=image)
    expected = torch.from_numpy(padded).permute(2, 0, 1).flip(0).float().div_(255).numpy()
    assert np.array_equal(batch[0], expected)
    # Boxes go back to where Ultralytics puts them.
    from ultralytics.utils.ops import scale_boxes

    xyxy = np.random.default_rng(1).uniform(-20, 660, (9, 4)).astype(np.float32)
    theirs = scale_boxes(target, xyxy.copy(), (height, width))
    assert box.to_image(xyxy) == pytest.approx(theirs, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_the_rectangle_is_that_of_ultralytics_validator(width: int, height: int) -> None:
    """Its data set scales the long side to imgsz, and gives the batch half a stride more."""
    import cv2
    from ultralytics.data.augment import LetterBox

    image = noise(width, height)
    batch, (box,) = preprocess([image], (96, 96), stride=32)
    long = max(width, height)
    content = [max(round(side * 96 / long), 1) for side in (height, width)]
    shape = tuple(int(np.ceil(side / 32 + 0.5)) * 32 for side in content)
    scaled = image if long == 96 else cv2.resize(image, content[::-1])
    padded = LetterBox(shape, scaleup=False)(image=scaled)
    assert box.target == shape
    assert np.array_equal(batch[0], padded[..., ::-1].transpose(2, 0, 1) / np.float32(255))


def test_a_batch_of_images_of_different_sizes() -> None:
    images = [noise(50, 20), noise(20, 50, 1), noise(64, 64, 2)]
    batch, boxes = preprocess(images, (64, 64))
    assert batch.shape == (3, 3, 64, 64)
    for index, image in enumerate(images):
        alone, (box,) = preprocess([image], (64, 64))
        assert np.array_equal(batch[index], alone[0])
        assert boxes[index] == box


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)],
)
def test_only_bgr_bytes_are_accepted(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 image, got"):
        preprocess([image], (64, 64))
