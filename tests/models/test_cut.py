"""A model that is cut answers as the whole does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from detect_tl.models.cut import cut_before, run_front, run_rest, to_float32
from detect_tl.models.yolo import build_model, model_config

FAMILIES = ("yolov8n", "yolo11n", "yolo26n")


def model_of(name: str, task: Any = "detect") -> Any:
    torch.manual_seed(0)
    return build_model(model_config(name, task), task, 3).eval()


@pytest.mark.parametrize(
    ("name", "first", "needed"),
    [
        ("yolo11n", 11, (4, 6, 10)),
        ("yolo11n", 23, (16, 19, 22)),
        ("yolov8n", 10, (4, 6, 9)),
        ("yolov8n", 22, (15, 18, 21)),
        ("yolo26n", 11, (4, 6, 10)),
        ("yolo11n", 5, (4,)),
    ],
)
def test_what_is_needed_is_read_off_the_graph(
    name: str, first: int, needed: tuple[int, ...]
) -> None:
    assert cut_before(model_of(name), first).needed == needed


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_any_cut_leaves_the_answer_as_it_is(name: str, task: str) -> None:
    model = model_of(name, task)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        whole = tensors(model(images))
        for first in range(1, len(model.model)):
            cut = cut_before(model, first)
            found = tensors(run_rest(model, cut, run_front(model.model, cut, images)))
            assert len(found) == len(whole)
            assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True)), first


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [t for item in items if item is not None for t in tensors(item)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_numbers_of_16_bits_become_float32_wherever_they_lie(dtype: torch.dtype) -> None:
    values = torch.arange(3, dtype=dtype)
    found = to_float32({"a": [values], "b": (values, "kept")})
    wanted = torch.int64 if dtype is torch.int64 else torch.float32
    again, kept = found["b"]
    assert kept == "kept"
    for tensor in (found["a"][0], again):
        assert tensor.dtype == wanted
        assert tensor.tolist() == [0, 1, 2]
