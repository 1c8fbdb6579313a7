"""One look at pictures: where it looks, and that it sees what the layers answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from detect_tl.models.cut import cut_before, run_front
from detect_tl.training.pictures import read_picture
from detect_tl.training.probing import answers_by_imprinting, choose_points, look
from detect_tl.transfer.freeze import LayerRanges
from tests.training.test_imprint import SIDE, Pictures, model_of

CPU = torch.device("cpu")


@pytest.fixture
def pictures() -> list[Any]:
    dataset = Pictures(10)
    return [read_picture(dataset, index, SIDE) for index in range(10)]


def test_points_lie_on_objects_or_on_none(pictures: list[Any]) -> None:
    points = choose_points(pictures, SIDE, 0)
    assert sorted(set(points.label.tolist())) == [-1, 0, 1]
    for number, xy, label, sides in zip(
        points.picture, points.xy, points.label, points.sides, strict=True
    ):
        boxes = pictures[number].boxes
        inside = ((boxes[:, :2] <= xy) & (boxes[:, 2:] >= xy)).all(axis=1)
        if label < 0:
            assert not inside.any()
            assert np.isnan(sides).all()
            continue
        box = np.concatenate([xy - sides[:2] * SIDE, xy + sides[2:] * SIDE])
        own = np.abs(boxes - box).max(axis=1) < 1e-9
        assert pictures[number].labels[own].tolist() == [label]
        assert (inside & own).any()
        assert sides.min() > 0


def test_the_same_seed_chooses_the_same_points(pictures: list[Any]) -> None:
    one, two, other = (choose_points(pictures, SIDE, seed) for seed in (4, 4, 5))
    assert (one.xy == two.xy).all()
    assert one.xy.shape != other.xy.shape or (one.xy != other.xy).any()


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_features_are_what_frozen_layers_give_to_the_others(name: str, pictures: list[Any]) -> None:
    model = model_of(name).eval()
    points = choose_points(pictures, SIDE, 0)
    seen = look(model, pictures, points, ["backbone", "neck", 5], CPU)
    ranges = LayerRanges.of(model.yaml)
    firsts = {"backbone": ranges.neck, "neck": ranges.head, "5": 5}
    pixels = torch.cat([picture.pixels for picture in pictures])
    for depth, first in firsts.items():
        cut = cut_before(model, first)
        with torch.no_grad():
            maps = run_front(model.model, cut, pixels)
        for row in range(0, len(points.label), 7):
            number, (x, y) = points.picture[row], points.xy[row]
            parts = [
                answer[number, :, int(y * answer.shape[2] / SIDE), int(x * answer.shape[3] / SIDE)]
                for answer in maps.values()
            ]
            expected = torch.cat(parts).numpy()
            assert seen.features[depth][row] == pytest.approx(expected, abs=1e-4)
    cells = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    assert seen.boxes.shape == (10, 4, cells)


@pytest.mark.parametrize("name", ["yolo11n", "yolo26n"])
def test_classes_are_imprinted_from_other_pictures_only(name: str, pictures: list[Any]) -> None:
    model = model_of(name)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    seen = look(model, pictures, choose_points(pictures, SIDE, 0), ["neck"], CPU)
    learn, judge = range(0, 10, 2), range(1, 10, 2)
    found = answers_by_imprinting(model, seen, pictures, learn=learn, judge=judge, classes=[0, 1])
    assert found.shape == (5, 4 + 3, seen.boxes.shape[2])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    side, right = SIDE // 8, 0
    for row, number in enumerate(judge):
        picture = pictures[number]
        for (x1, y1, x2, y2), label in zip(picture.boxes, picture.labels, strict=True):
            cell = int((y1 + y2) / 16) * side + int((x1 + x2) / 16)
            right += found[row, 4 : 4 + 2, cell].argmax() == label
    assert right >= 9  # of 10
    other = answers_by_imprinting(
        model, seen, pictures, learn=[0, 2, *judge], judge=judge, classes=[0, 1]
    )
    assert not np.array_equal(other, found)
