"""Labels that do not say everything: classes nobody looked for, and objects without an outline."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from detect_tl.core.files import read_json, write_json
from detect_tl.models.yolo import DEFAULT_CFG, build_model, model_config
from detect_tl.training.coverage import Coverage, keep_apart, leave_open, read_coverage
from detect_tl.training.objective import extend

SIDE, CLASSES = 64, 3
FAMILIES = ("yolo11n", "yolo26n")


def model_of(name: str, task: Any = "detect", seed: int = 3) -> Any:
    torch.manual_seed(seed)
    config = model_config(f"{name}-seg" if task == "segment" else name, task)
    model = build_model(config, task, CLASSES)
    model.args = deepcopy(DEFAULT_CFG)
    return model


def batch_of(task: str = "detect") -> dict[str, Any]:
    """Two pictures with an object each, of class 0 and of class 1."""
    torch.manual_seed(4)
    batch = {
        "img": torch.rand(2, 3, SIDE, SIDE),
        "im_file": ["/somewhere/a.png", "/somewhere/b.png"],
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.4, 0.4, 0.6, 0.4]]),
    }
    if task == "segment":
        batch["masks"] = torch.zeros(2, SIDE // 4, SIDE // 4)
        batch["masks"][:, 4:12, 4:12] = 1
        batch["sem_masks"] = torch.zeros(2, SIDE // 4, SIDE // 4)
        batch["sem_masks"][1] = 1
    return batch


def gradients(
    model: Any, task: str, change: Callable[[Any], Any]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and its gradient by every answer of the model, for a changed criterion."""
    criterion, batch = change(model.init_criterion()), batch_of(task)
    answers = model.train()(batch["img"])
    parts = [answers["one2many"], answers["one2one"]] if "one2one" in answers else [answers]
    for part in parts:
        for name, value in part.items():
            if isinstance(value, Tensor):
                part[name] = value.detach().requires_grad_()
    loss, _ = criterion(answers, batch)
    loss.sum().backward()
    found = {}
    for number, part in enumerate(parts):
        for name, value in part.items():
            if isinstance(value, Tensor) and value.grad is not None:
                found[f"{number} {name}"] = value.grad
    return loss.detach(), found


@pytest.mark.parametrize("name", FAMILIES)
def test_a_loss_with_nothing_left_open_is_the_plain_one(name: str) -> None:
    model = model_of(name)
    plain, by_answer = gradients(model, "detect", lambda criterion: criterion)
    same, again = gradients(model, "detect", lambda criterion: extend(criterion, {}))
    assert torch.equal(plain, same)
    assert all(torch.equal(by_answer[key], again[key]) for key in by_answer)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_class_nobody_looked_for_is_not_pushed_down(name: str) -> None:
    model, left = model_of(name), {"a.png": Coverage(open=(1, 2))}
    _, plain = gradients(model, "detect", lambda criterion: criterion)
    _, found = gradients(model, "detect", lambda criterion: extend(criterion, left))
    scores = [key for key in plain if key.endswith("scores")]
    assert scores
    for key in scores:
        assert plain[key][0, 1:].abs().min() > 0  # it would have been, everywhere
        assert not found[key][0, 1:].any()
        assert torch.equal(found[key][0, 0], plain[key][0, 0])
        assert torch.equal(found[key][1], plain[key][1])
    others = [key for key in plain if key not in scores]
    assert all(torch.equal(plain[key], found[key]) for key in others)


def test_what_was_found_of_an_open_class_still_teaches() -> None:
    """As in LVIS: a class that is not marked everywhere has true examples."""
    left = {"b.png": Coverage(open=(1,))}
    _, found = gradients(model_of("yolo11n"), "detect", lambda c: extend(c, left))
    rows = found["0 scores"][1, 1]
    assert rows.min() < 0  # where the object is, it is pushed up
    assert not (rows > 0).any()  # and nowhere down


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_with_boxes_only_teaches_boxes_and_no_outlines(name: str) -> None:
    model, bare = model_of(name, "segment"), {"a.png": Coverage(outlined=False)}
    _, plain = gradients(model, "segment", lambda criterion: criterion)
    _, found = gradients(model, "segment", lambda criterion: extend(criterion, bare))
    outlines = [key for key in plain if key.endswith("mask_coefficient")]
    assert outlines
    assert all(plain[key][0].any() and plain[key][1].any() for key in outlines)
    assert not any(found[key][0].any() for key in outlines)
    assert all(found[key][1].any() for key in outlines)
    boxes = [key for key in plain if key.endswith(("boxes", "scores"))]
    assert all(torch.equal(plain[key], found[key]) for key in boxes)


@pytest.mark.parametrize("name", FAMILIES)
def test_without_any_outline_boxes_are_learned(name: str) -> None:
    bare = {file: Coverage(outlined=False) for file in ("a.png", "b.png")}
    loss, found = gradients(model_of(name, "segment"), "segment", lambda c: extend(c, bare))
    assert torch.isfinite(loss).all()
    assert found["0 boxes"].any()
    assert not found["0 mask_coefficient"].any()


def test_only_pictures_that_say_the_same_are_mixed(tmp_path: Path) -> None:
    from ultralytics.data import YOLODataset
    from ultralytics.utils import IterableSimpleNamespace

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    for name, colour in colours.items():
        for number in range(4):
            Image.new("RGB", (32, 32), colour).save(tmp_path / "images" / f"{name}{number}.png")
            (tmp_path / "labels" / f"{name}{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    settings = IterableSimpleNamespace(
        **{
            **vars(DEFAULT_CFG),
            "mosaic": 1.0,
            "mixup": 1.0,
            **dict.fromkeys(("hsv_h", "hsv_s", "hsv_v"), 0),
        }
    )
    dataset = YOLODataset(
        img_path=str(tmp_path / "images"),
        data={"names": {0: "thing"}, "channels": 3},
        imgsz=32,
        hyp=settings,
    )
    keep_apart(dataset, {f"blue{k}.png": Coverage(open=(0,)) for k in range(4)})
    seen = set()
    for index in range(len(dataset)):
        red, _, blue = dataset[index]["img"].int()
        seen.add((bool(((red - blue) > 60).any()), bool(((blue - red) > 60).any())))
        assert not ((red - blue).abs() < 60)[red + blue > 240].any()  # nothing is both
    assert seen == {(True, False), (False, True)}


def test_coverage_is_read_from_a_folder(tmp_path: Path) -> None:
    document = {
        "images": [
            {"id": 1, "file_name": "a.png", "not_exhaustive_category_ids": [2]},
            {"id": 2, "file_name": "b.png"},
            {"id": 3, "file_name": "c.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 2, "category_id": 1, "segmentation": []},
            {"id": 2, "image_id": 3, "category_id": 1, "segmentation": [[0, 0, 1, 0, 1, 1]]},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "annotations").mkdir()
    write_json(tmp_path / "annotations" / "train.json", document)
    names = ("dog", "cat")
    assert read_coverage(tmp_path, "train", "detect", names) == {"a.png": Coverage(open=(0,))}
    assert read_coverage(tmp_path, "train", "segment", names) == {
        "a.png": Coverage(open=(0,)),
        "b.png": Coverage(outlined=False),
    }
    assert not read_coverage(tmp_path, "val", "detect", names)
    assert read_json(tmp_path / "annotations" / "train.json") == document


def test_a_validator_does_not_count_what_nobody_looked_for() -> None:
    told: list[list[int]] = []

    class Validator:
        def update_metrics(self, preds: list[dict[str, Tensor]], batch: dict[str, Any]) -> None:
            del batch
            told.extend(found["cls"].int().tolist() for found in preds)

    validator = Validator()
    leave_open(validator, {"a.png": Coverage(open=(1, 2))})
    found = {"cls": torch.tensor([0.0, 1.0, 2.0]), "bboxes": torch.zeros(3, 4)}
    nothing = {"cls": torch.zeros(0), "bboxes": torch.zeros(0, 4)}
    files = ["x/a.png", "x/b.png", "x/a.png"]
    validator.update_metrics([found, found, nothing], {"im_file": files})
    assert told == [[0], [0, 1, 2], []]
    assert np.shape(told[2]) == (0,)
