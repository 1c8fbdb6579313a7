"""Rows of new classes know their class before the first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from detect_tl.models.yolo import build_model, model_config
from detect_tl.training.imprint import (
    TO_USE,
    _around,
    _stride_for,
    imprint,
    imprint_from,
)
from detect_tl.training.pictures import read_picture

SIDE = 128
COLOURS = {0: (20, 20, 230), 1: (230, 20, 20)}


class Pictures:
    """Squares of one colour a class on grey, as a data set of Ultralytics holds them."""

    def __init__(self, count: int, classes: tuple[int, ...] = (0, 1)) -> None:
        rng = np.random.default_rng(1)
        self.images, self.labels = [], []
        for _ in range(count):
            image = rng.integers(90, 140, (SIDE, SIDE, 3)).astype(np.uint8)
            boxes, labels = [], []
            for label, quarter in zip(classes, rng.permutation(4), strict=False):
                x, y = np.asarray(divmod(quarter, 2)) * 64 + rng.integers(2, 12, 2)
                image[y : y + 48, x : x + 48] = COLOURS[label]
                boxes.append([(x + 24) / SIDE, (y + 24) / SIDE, 48 / SIDE, 48 / SIDE])
                labels.append([label])
            self.images.append(image)
            self.labels.append({"bboxes": np.asarray(boxes), "cls": np.asarray(labels)})

    def __len__(self) -> int:
        return len(self.images)

    def load_image(self, index: int) -> tuple[Any, ...]:
        return self.images[index], (SIDE, SIDE), (SIDE, SIDE)


def model_of(name: str) -> Any:
    torch.manual_seed(3)
    return build_model(model_config(name, "detect"), "detect", 3)


def scores(model: Any, dataset: Pictures, index: int) -> torch.Tensor:
    """Scores (3, H, W) of the level that sees squares of 48 pixels best: stride 8."""
    image = torch.from_numpy(dataset.images[index][..., ::-1].transpose(2, 0, 1).copy())
    with torch.no_grad():
        raw = model.eval()(image[None].float() / 255)[1]
    raw = raw.get("one2many", raw)
    return raw["scores"][0, :, : (SIDE // 8) ** 2].sigmoid().reshape(3, SIDE // 8, SIDE // 8)


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_a_new_class_is_seen_where_it_is_before_any_training(name: str) -> None:
    model, dataset = model_of(name), Pictures(30)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    cpu = torch.device("cpu")
    assert imprint(model, dataset, [0, 1], imgsz=SIDE, device=cpu, seed=0) == {0: 30, 1: 30}
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(".cv3." in k or ".one2one_cv3." in k for k in changed)
    for key in changed:  # class 2 was not asked for
        assert torch.equal(model.state_dict()[key][2], before[key][2])
    right = 0
    for index in range(10):
        found = scores(model, dataset, index)
        for label, (cx, cy, *_) in zip((0, 1), dataset.labels[index]["bboxes"], strict=True):
            at = found[:2, int(cy * SIDE / 8), int(cx * SIDE / 8)]
            right += bool(at[label] == at.max() and at[label] > found[label].median())
    assert right >= 19  # of 20


def test_a_class_without_enough_objects_stays_as_it_was() -> None:
    model = model_of("yolo11n")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    cpu = torch.device("cpu")
    seen = imprint(model, Pictures(2, (0,)), [0, 1], imgsz=SIDE, device=cpu, seed=0)
    assert seen == {0: 2, 1: 0}
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training


def test_the_same_seed_gives_the_same_rows() -> None:
    rows = []
    for _ in range(2):
        model = model_of("yolo11n")
        imprint(model, Pictures(12), [1], imgsz=SIDE, device=torch.device("cpu"), seed=5)
        rows.append(model.model[-1].cv3[0][-1].weight[1].clone())
    assert torch.equal(*rows)


def test_a_row_to_be_used_needs_a_single_object_and_is_silent_elsewhere() -> None:
    model, dataset = model_of("yolo11n"), Pictures(1)
    cpu = torch.device("cpu")
    imprint(model, dataset, [0, 1], imgsz=SIDE, device=cpu, seed=0, rule=TO_USE)
    found = scores(model, dataset, 0)
    for label, (cx, cy, *_) in zip((0, 1), dataset.labels[0]["bboxes"], strict=True):
        at = found[:2, int(cy * SIDE / 8), int(cx * SIDE / 8)]
        assert at[label] == at.max()
        assert at[label] > found[label].median()
    for level in model.model[-1].cv3[1:]:  # squares of 48 pixels belong to the finest
        assert not level[-1].weight[:2].any()
        assert (level[-1].bias[:2] == -11).all()
        assert level[-1].weight[2].any()


def test_a_class_that_is_nowhere_to_be_seen_is_silent() -> None:
    model, cpu = model_of("yolo26n"), torch.device("cpu")
    seen = imprint(model, Pictures(2, (0,)), [0, 1], imgsz=SIDE, device=cpu, seed=0, rule=TO_USE)
    assert seen == {0: 2, 1: 0}
    for branch in (model.model[-1].cv3, model.model[-1].one2one_cv3):
        for level in branch:
            assert not level[-1].weight[1].any()
            assert level[-1].bias[1] == -11


def test_answers_that_are_there_give_the_same_rows() -> None:
    """Whether a model is asked anew, or what it answered was kept."""
    model, other, dataset = model_of("yolov8n"), model_of("yolov8n"), Pictures(4)
    cpu = torch.device("cpu")
    imprint(model, dataset, [0, 1], imgsz=SIDE, device=cpu, seed=0, rule=TO_USE)
    pictures = [read_picture(dataset, index, SIDE) for index in range(4)]
    convs = [branch[-1] for branch in other.model[-1].cv3]
    kept: list[list[torch.Tensor]] = [[] for _ in convs]
    for conv, seen in zip(convs, kept, strict=True):
        conv.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
    with torch.no_grad():
        for picture in pictures:
            other.eval()(picture.pixels)
    answers = [torch.cat(seen) for seen in kept]
    strides = [8.0, 16.0, 32.0]
    imprint_from(convs, answers, pictures, [0, 1], strides=strides, seed=0, rule=TO_USE)
    for one, two in zip(model.model[-1].cv3, convs, strict=True):
        assert torch.allclose(one[-1].weight, two.weight, rtol=1e-3, atol=1e-4)
        assert torch.allclose(one[-1].bias, two.bias, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (2.0, 3.0, 8, slice(2, 3)),  # a cell
        (2.2, 2.4, 8, slice(2, 3)),  # less than one
        (1.0, 6.0, 8, slice(2, 5)),
        (2.5, 4.5, 8, slice(3, 4)),
        (6.9, 7.0, 8, slice(6, 7)),
        (7.5, 9.0, 8, slice(7, 8)),  # beyond the picture
    ],
)
def test_the_middle_of_a_box(low: float, high: float, count: int, expected: slice) -> None:
    assert _around(low, high, count) == expected


@pytest.mark.parametrize(("side", "stride"), [(20, 8), (48, 8), (96, 16), (190, 32), (600, 32)])
def test_small_objects_are_seen_at_a_fine_level(side: float, stride: int) -> None:
    assert _stride_for(np.asarray([10, 10, 10 + side, 10 + side]), (8, 16, 32)) == stride
