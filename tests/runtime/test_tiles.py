from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.detections import Detections
from detect_tl.core.errors import UsageError
from detect_tl.core.geometry import Box, Size, box_iou
from detect_tl.core.images import Image
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.merging import Tile, merge_views
from detect_tl.runtime.predict import predict
from detect_tl.runtime.tiles import TiledDetector, plan_tiles
from tests.runtime.conftest import picture

SIDE, OVERLAP = 100, 0.3


class TestPlan:
    @given(
        width=st.integers(1, 3000),
        height=st.integers(1, 3000),
        side=st.integers(32, 700),
        overlap=st.floats(0, 0.9),
    )
    def test_tiles_cover_the_image_and_overlap(
        self, width: int, height: int, side: int, overlap: float
    ) -> None:
        tiles = plan_tiles(Size(width, height), side, overlap)
        if width <= side and height <= side:
            assert tiles == []
            return
        for low, high, length in (("left", "right", width), ("top", "bottom", height)):
            spans = sorted({(getattr(t, low), getattr(t, high)) for t in tiles})
            assert spans[0][0] == 0
            assert spans[-1][1] == length
            assert all(stop - start == min(side, length) for start, stop in spans)
            for (_, stop), (start, _) in pairwise(spans):
                assert stop - start >= side * overlap - 1  # rounded to whole pixels

    def test_no_more_tiles_than_needed(self) -> None:
        assert len(plan_tiles(Size(1920, 1080), 640, 0.2)) == 4 * 2
        assert plan_tiles(Size(640, 640), 640, 0.2) == []
        assert plan_tiles(Size(700, 100), 640, 0.2) == [Tile(0, 0, 640, 100), Tile(60, 0, 700, 100)]


class Ideal:
    """A detector that sees everything of a known picture: the part of each object in its view.

    It finds where its view is by the pixels, as `coordinates` draws them. Objects of which less
    than `least` pixels are in view are not seen, nor those below 1/12 of the view's side.
    """

    max_det = 300

    def __init__(self, boxes: np.ndarray, *, masks: bool = False, least: int = 3) -> None:
        self.boxes, self.masks, self.least = boxes, masks, least
        self.seen: set[int] = set()

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        x, y = (int(v) for v in image[0, 0, :2].astype(int) + image[0, 0, 2] // (16, 1) % 16 * 256)
        offset = np.array([x, y, x, y])
        inside = np.clip(self.boxes - offset, 0, (width, height) * 2)
        sides = inside[:, 2:] - inside[:, :2]
        enough = (sides > self.least).all(axis=1) & (sides.max(axis=1) >= max(width, height) / 12)
        rows = np.flatnonzero(enough)
        self.seen |= set(rows.tolist())
        share = sides[rows].prod(axis=1) / (self.boxes[rows, 2:] - self.boxes[rows, :2]).prod(
            axis=1
        )
        mask = np.zeros((len(rows), height, width), bool)
        for bitmap, (x1, y1, x2, y2) in zip(mask, inside[rows].astype(int), strict=True):
            bitmap[y1:y2, x1:x2] = True
        # A part has a lower score than a whole.
        score = (0.5 + 0.4 * share).astype(np.float32)
        return Detections(
            inside[rows].astype(np.float32),
            score,
            np.zeros(len(rows), np.int64),
            mask if self.masks else None,
        )


def coordinates(size: Size) -> Image:
    """Every pixel says where it is."""
    y, x = np.mgrid[: size.height, : size.width]
    return np.dstack([x % 256, y % 256, x // 256 * 16 + y // 256]).astype(np.uint8)


def tiled(ideal: Ideal, size: Size, overlap: float = OVERLAP) -> Detections:
    (found,) = TiledDetector(ideal, SIDE, overlap)([coordinates(size)])  # type: ignore[arg-type]
    return found


def scattered(seed: int, size: Size, low: int, high: int) -> np.ndarray:
    """Boxes with sides from `low` to `high`, none of which overlap."""
    rng = np.random.default_rng(seed)
    boxes: list[np.ndarray] = []
    for _ in range(60):
        sides = rng.integers(low, high + 1, 2)
        corner = rng.integers(0, np.maximum(np.array(size) - sides, 1))
        box = np.array([*corner, *(corner + sides)])
        apart = [(box[:2] >= b[2:]).any() or (box[2:] <= b[:2]).any() for b in boxes]
        if all(apart) and (box[2:] <= size).all():
            boxes.append(box)
    return np.array(boxes).reshape(-1, 4)


def matched(found: Detections, boxes: np.ndarray) -> bool:
    ours = sorted(map(tuple, np.rint(found.xyxy).astype(int).tolist()))
    return ours == sorted(map(tuple, boxes.tolist()))


class TestLaws:
    @settings(max_examples=40)
    @given(seed=st.integers(0, 10_000), width=st.integers(90, 420), height=st.integers(90, 420))
    def test_small_objects_come_out_once_and_whole(
        self, seed: int, width: int, height: int
    ) -> None:
        """Each is whole in one tile, since it is not larger than the overlap, and cut in others."""
        size = Size(width, height)
        boxes = scattered(seed, size, 9, int(SIDE * OVERLAP))
        ideal = Ideal(boxes)
        found = tiled(ideal, size)
        assert matched(found, boxes[sorted(ideal.seen)])
        if width > SIDE or height > SIDE:
            assert len(ideal.seen) == len(boxes)

    @settings(max_examples=40)
    @given(seed=st.integers(0, 10_000))
    def test_large_objects_come_from_the_whole_picture(self, seed: int) -> None:
        size = Size(400, 360)
        boxes = scattered(seed, size, 35, 300)
        assert matched(tiled(Ideal(boxes), size), boxes)

    @pytest.mark.parametrize("box", [[10, 40, 330, 60], [150, 5, 170, 290], [90, 90, 190, 110]])
    def test_parts_are_joined_where_no_view_has_it_whole(self, box: list[int]) -> None:
        class Near(Ideal):
            """Blind for what is thin in the view: for the whole picture."""

            def _one(self, image: Image) -> Detections:
                return Detections.empty() if image.shape[1] > SIDE else super()._one(image)

        found = tiled(Near(np.array([box])), Size(340, 300))
        assert matched(found, np.array([box]))

    def test_a_part_stays_where_nobody_has_more(self) -> None:
        tile = Tile(0, 0, 100, 100)
        part = Detections(
            np.array([[80, 10, 100, 30]], np.float32), np.array([0.5], np.float32), np.array([0])
        )
        views = [(Tile(0, 0, 200, 100), Detections.empty()), (tile, part)]
        assert merge_views(views, Size(200, 100)).xyxy.tolist() == [[80, 10, 100, 30]]

    @settings(max_examples=60)
    @given(seed=st.integers(0, 10_000))
    def test_nothing_is_doubled_whatever_the_views_say(self, seed: int) -> None:
        """A box of each class in every view, at random places with random scores."""
        rng, size = np.random.default_rng(seed), Size(220, 160)
        views = []
        for tile in (Tile(0, 0, *size), *plan_tiles(size, SIDE, OVERLAP)):
            area = np.array([tile.right - tile.left, tile.bottom - tile.top])
            low = rng.integers(0, area - 20, (2, 2))
            boxes = np.concatenate([low, np.minimum(low + rng.integers(20, 90, (2, 2)), area)], 1)
            score = np.sort(rng.random(2).astype(np.float32))[::-1]
            views.append((tile, Detections(boxes.astype(np.float32), score, rng.permutation(2))))
        merged = merge_views(views, size)
        assert 2 <= len(merged) <= 2 * len(views)
        for class_id in range(2):
            boxes = merged.xyxy[merged.class_id == class_id].astype(float)
            assert len(boxes)
            assert all(box_iou(Box(*a), Box(*b)) <= 0.5 for a, b in combinations(boxes, 2))

    def test_the_surer_of_a_part_and_a_box_around_it_stays(self) -> None:
        whole, tile = Tile(0, 0, 200, 100), Tile(0, 0, 100, 100)
        part, full = [[70, 10, 100, 30]], [[70, 10, 120, 30]]
        for part_score, full_score, stays in ((0.9, 0.5, full), (0.9, 0.3, part)):
            views = [
                (view, Detections(np.array(box, np.float32), np.array([score], np.float32), zero))
                for view, box, score in ((whole, full, full_score), (tile, part, part_score))
                for zero in [np.array([0])]
            ]
            assert merge_views(views, Size(200, 100)).xyxy.tolist() == stays

    def test_neighbours_in_one_view_stay_two(self) -> None:
        """Two people side by side, whose boxes overlap by more than two looks at one may differ."""
        pair = Detections(
            np.array([[10, 10, 50, 90], [22, 10, 62, 90]], np.float32),
            np.array([0.9, 0.8], np.float32),
            np.array([0, 0]),
        )
        whole, tile = Tile(0, 0, 200, 100), Tile(0, 0, 100, 100)
        found = merge_views([(whole, pair), (tile, pair)], Size(200, 100))
        assert found.xyxy.tolist() == pair.xyxy.tolist()

    def test_classes_do_not_compete(self) -> None:
        boxes = np.array([[10, 10, 50, 90]] * 2, np.float32)
        both = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))
        whole, tile = Tile(0, 0, 200, 100), Tile(0, 0, 100, 100)
        found = merge_views([(whole, both), (tile, both)], Size(200, 100))
        assert found.class_id.tolist() == [0, 1]

    @settings(max_examples=15)
    @given(seed=st.integers(0, 10_000))
    def test_masks_are_those_of_the_boxes(self, seed: int) -> None:
        size = Size(240, 180)
        boxes = scattered(seed, size, 9, 160)
        found = tiled(Ideal(boxes, masks=True), size)
        assert found.mask is not None
        assert found.mask.shape == (len(found), 180, 240)
        for mask, (x1, y1, x2, y2) in zip(found.mask, np.rint(found.xyxy).astype(int), strict=True):
            assert mask[y1:y2, x1:x2].all()
            assert mask.sum() == (x2 - x1) * (y2 - y1)

    def test_the_best_come_first_and_no_more_than_wanted(self) -> None:
        size = Size(400, 360)
        ideal = Ideal(scattered(1, size, 35, 60))
        everything = tiled(ideal, size)
        ideal.max_det = 5
        some = tiled(ideal, size)
        assert len(some) == 5
        assert (np.diff(everything.score) <= 0).all()
        assert np.array_equal(some.xyxy, everything.xyxy[:5])


def test_an_image_that_fits_into_a_tile_is_looked_at_once(detect_model: Path) -> None:
    image = picture(64, 64, (8, 16, 16, 24, "red"))
    with Detector(load_backend(detect_model), conf=0.6) as detector:
        (alone,), (both,) = detector([image]), TiledDetector(detector, 64)([image])
    assert np.array_equal(alone.xyxy, both.xyxy)
    assert np.array_equal(alone.score, both.score)


def test_small_objects_are_found_by_a_real_model(segment_model: Path, tmp_path: Path) -> None:
    """Cells of 8 pixels in a picture of 160: in the whole they are too small for the model."""
    cells = [(8, 16), (56, 56), (96, 8), (152, 152), (48, 104)]
    image = picture(160, 160, *[(x, y, x + 8, y + 8, "red") for x, y in cells])
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    assert predict(segment_model, path, PredictConfig(conf=0.8)).objects == {}
    result = predict(segment_model, path, PredictConfig(conf=0.8, tiles=64, tile_overlap=0.25))
    assert result.objects == {"red": 5}
    assert set(result.stats.stage_ms) == {"read", "detect", "use"}
    with Detector(load_backend(segment_model), conf=0.8) as detector:
        (found,) = TiledDetector(detector, 64, 0.25)([image])
    assert matched(found, np.array([[x, y, x + 8, y + 8] for x, y in cells]))
    assert found.mask is not None
    drawn, red = found.mask.any(axis=0), image[..., 2] > 0
    assert (drawn & red).sum() / (drawn | red).sum() > 0.9  # corners are rounded


@pytest.mark.parametrize(("side", "overlap"), [(16, 0.2), (64, -0.1), (64, 0.95)])
def test_settings_out_of_range(detect_model: Path, side: int, overlap: float) -> None:
    with Detector(load_backend(detect_model)) as detector, pytest.raises(UsageError) as caught:
        TiledDetector(detector, side, overlap)
    assert caught.value.hint
