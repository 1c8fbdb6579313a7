"""Freezing by name must be right for every family, by number exactly what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.transfer.freeze import LayerRanges, frozen_layers


def architecture(backbone: int, head: int) -> dict[str, Any]:
    return {"backbone": [[-1, 1, "Conv", []]] * backbone, "head": [[-1, 1, "Conv", []]] * head}


YOLOV8 = architecture(10, 13)
YOLO11 = architecture(11, 13)


@pytest.mark.parametrize(
    ("spec", "model", "layers"),
    [
        ("backbone", YOLOV8, range(10)),
        ("backbone", YOLO11, range(11)),  # its last layer, C2PSA, is the one that freeze=10 leaves
        ("Backbone", YOLO11, range(11)),
        ("neck", YOLOV8, range(22)),
        ("neck", YOLO11, range(23)),
        ("none", YOLO11, ()),
        (None, YOLO11, ()),
        (0, YOLO11, ()),
        (10, YOLO11, range(10)),
        ("10", YOLO11, range(10)),
        ([], YOLO11, ()),
        ([3, 1, 3], YOLO11, (1, 3)),
        ("0, 2,1", YOLO11, (0, 1, 2)),
        ((23,), YOLO11, (23,)),  # the head alone: odd, but it says what it does
    ],
)
def test_names_and_numbers(spec: Any, model: dict[str, Any], layers: Any) -> None:
    assert frozen_layers(spec, model).layers == tuple(layers)


@pytest.mark.parametrize(
    ("spec", "says", "hint"),
    [
        ("backbon", "'backbon'", "Did you mean 'backbone'?"),
        ("head", "'head'", "none, backbone, neck"),
        ("", "''", "none, backbone, neck"),
        (24, "first 24 layers", "0 to 23"),
        (-1, "first -1 layers", "0 to 23"),
        ([0, 24], "layer 24", "none, backbone, neck"),
        ([-1], "layer -1", "none, backbone, neck"),
        (list(range(24)), "nothing would train", "head"),
        (True, "True", "number of layers"),
        ([0, "1"], "'1'", "number of layers"),
    ],
)
def test_impossible_requests_are_usage_errors(spec: Any, says: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        frozen_layers(spec, YOLO11)
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_a_model_without_parts_cannot_be_frozen() -> None:
    with pytest.raises(WeightsError, match="backbone ends"):
        frozen_layers("backbone", {"nc": 80})


@settings(max_examples=50)
@given(st.sets(st.integers(0, 22)))
def test_the_description_names_exactly_the_layers(layers: set[int]) -> None:
    plan = frozen_layers(sorted(layers), YOLO11)
    words = plan.description.removesuffix(" frozen").removeprefix("layers ").removeprefix("layer ")
    named: set[int] = set()
    for part in words.split(", ") if layers else []:
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(plan.layers) == layers


@pytest.mark.parametrize(("name", "last"), [("yolov8n", 9), ("yolo11n", 10), ("yolo26n", 10)])
def test_the_backbone_of_real_configurations(name: str, last: int) -> None:
    from detect_tl.models.yolo import model_config

    for task in ("detect", "segment"):
        config = model_config(model_config(name, "detect"), task)
        plan = frozen_layers("backbone", config)
        assert plan.layers[-1] == last
        assert plan.description == f"backbone: layers 0-{last} frozen"
        assert LayerRanges.of(config).head == len(config["backbone"] + config["head"]) - 1
