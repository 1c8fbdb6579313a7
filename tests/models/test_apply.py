"""A plan carried out gives what Ultralytics' own loading gives, and exactly what it says."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch

from detect_tl.core.errors import WeightsError
from detect_tl.core.model_spec import Task
from detect_tl.models.apply import apply_plan, match_class_branch, shapes
from detect_tl.models.yolo import build_model, model_config, quiet
from detect_tl.transfer.freeze import frozen_layers
from detect_tl.transfer.plan import TransferPlan, plan_transfer

COCO_LIKE = ("person", *(f"thing {index}" for index in range(1, 80)))
FAMILIES = ("yolov8n", "yolo11n", "yolo26n")


@pytest.fixture(scope="module", params=FAMILIES)
def source(request: pytest.FixtureRequest) -> Any:
    """A detector of 80 classes, in which no two values are alike by chance."""
    torch.manual_seed(1)
    model = build_model(model_config(request.param, "detect"), "detect", len(COCO_LIKE))
    for value in model.state_dict().values():
        value.copy_(torch.rand_like(value) if value.is_floating_point() else value + 7)
    model.names = dict(enumerate(COCO_LIKE))
    return model


def transfer(source: Any, target: Any, names: tuple[str, ...], **more: Any) -> TransferPlan:
    match_class_branch(target, source)
    state = source.state_dict()
    plan = plan_transfer(
        shapes(state),
        shapes(target.state_dict()),
        source_names=tuple(source.names.values()),
        target_names=names,
        **more,
    )
    apply_plan(plan, state, target)
    return plan


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize("names", [("RBC", "WBC", "Platelets"), ("thing 5", "dog", "Person")])
def test_agrees_with_ultralytics(source: Any, task: Task, names: tuple[str, ...]) -> None:
    config = model_config(source.yaml, task)
    torch.manual_seed(2)
    ours = build_model(config, task, len(names))
    theirs = deepcopy(ours)
    plan = transfer(source, ours, names)
    theirs.names = dict(enumerate(names))
    with quiet():
        theirs.load(source, verbose=False)
    here, there = ours.state_dict(), theirs.state_dict()
    assert shapes(here) == shapes(there)
    for tensor in plan.tensors:
        rows = [row for row, _ in tensor.rows] if tensor.rows else ...
        if tensor.fate != "new":
            assert torch.equal(here[tensor.name][rows], there[tensor.name][rows]), tensor.name


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_counts_and_what_is_new(source: Any, task: Task) -> None:
    """COCO to 3 foreign classes: all but the class rows, and for a segmenter its masks."""
    expected = {10: (349, 6), 11: (493, 6)}[len(source.yaml["backbone"])]
    if "one2one" in "".join(source.state_dict()):
        expected = (696, 12)  # both heads of YOLO26 have class rows
    target = build_model(model_config(source.yaml, task), task, 3)
    plan = transfer(source, target, ("a", "b", "c"))
    rows = [t for t in plan.of("new") if "class rows" in t.reason]
    assert (plan.transferred, len(rows)) == expected
    masks = [t for t in plan.of("new") if "mask branch" in t.reason]
    assert len(plan.of("new")) == len(rows) + len(masks)
    assert bool(masks) == (task == "segment")
    assert plan.skipped == () or {s.name for s in plan.skipped} == {t.name for t in rows}


def test_new_values_stay_as_built(source: Any) -> None:
    names = ("thing 3", "x")
    target = build_model(model_config(source.yaml, "detect"), "detect", 2)
    match_class_branch(target, source)
    before = deepcopy(target.state_dict())
    plan = transfer(source, target, names)
    state = source.state_dict()
    for tensor in plan.of("remapped"):
        value = target.state_dict()[tensor.name]
        assert torch.equal(value[0], state[tensor.name][3])
        assert torch.equal(value[1], before[tensor.name][1])
    assert plan.of("remapped")
    assert all(torch.equal(target.state_dict()[t.name], state[t.name]) for t in plan.of("copied"))


def test_the_result_still_runs_and_trains(source: Any) -> None:
    target = build_model(model_config(source.yaml, "segment"), "segment", 3)
    transfer(source, target, ("a", "b", "c"))
    target.train()
    output = target(torch.rand(2, 3, 64, 64))
    scores = (output.get("one2many") or output)["scores"]
    assert scores.shape[:2] == (2, 3)
    assert all(p.requires_grad for name, p in target.named_parameters() if ".dfl." not in name)


def test_half_precision_arrives_exactly(source: Any) -> None:
    half = deepcopy(source).half()
    target = build_model(model_config(source.yaml, "detect"), "detect", 80)
    plan = transfer(half, target, COCO_LIKE)
    assert len(plan.of("copied")) == len(plan.tensors)
    for name, value in target.state_dict().items():
        assert torch.equal(value, half.state_dict()[name].to(value.dtype))
        assert value.dtype in (torch.float32, torch.int64)


def test_a_narrower_source_narrows_the_branch() -> None:
    """3 classes are 64 wide, 80 are 80: going back, the branch keeps its 64 trained channels."""
    config = model_config("yolo11n", "detect")
    source, target = build_model(config, "detect", 3), build_model(config, "detect", 80)
    source.names = {0: "a", 1: "b", 2: "person"}
    plan = transfer(source, target, COCO_LIKE)
    assert target.model[-1].cv3[0][-1].in_channels == 64
    assert target.model[-1].cv3[0][-1].out_channels == 80
    assert len(plan.of("remapped")) == 6
    assert plan.of("new") == []


def test_another_scale_leaves_the_branch_alone_and_is_refused() -> None:
    source = build_model(model_config("yolo11n", "detect"), "detect", 80)
    source.names = dict(enumerate(COCO_LIKE))
    target = build_model(model_config("yolo11s", "detect"), "detect", 3)
    width = target.model[-1].cv3[0][-1].in_channels
    with pytest.raises(WeightsError, match="another family or scale"):
        transfer(source, target, ("a", "b", "c"))
    assert target.model[-1].cv3[0][-1].in_channels == width


def test_another_family_is_not_frozen_half_random() -> None:
    source = build_model(model_config("yolo11n", "detect"), "detect", 80)
    source.names = dict(enumerate(COCO_LIKE))
    target = build_model(model_config("yolo26n", "detect"), "detect", 3)
    neck = frozen_layers("neck", target.yaml).layers  # its backbone would fit by shape
    with pytest.raises(WeightsError, match="frozen with random values"):
        transfer(source, target, ("a", "b", "c"), frozen_layers=neck)


def test_a_plan_for_other_tensors_changes_nothing(source: Any) -> None:
    target = build_model(model_config(source.yaml, "detect"), "detect", 3)
    plan = transfer(source, target, ("a", "b", "c"))
    other = build_model(model_config(source.yaml, "detect"), "detect", 4)
    before = deepcopy(other.state_dict())
    with pytest.raises(WeightsError, match="another model"):
        apply_plan(plan, source.state_dict(), other)
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())
    short = {k: v for k, v in source.state_dict().items() if "model.5." not in k}
    with pytest.raises(WeightsError, match=r"other weights: model\.5\."):
        apply_plan(plan, short, target)
