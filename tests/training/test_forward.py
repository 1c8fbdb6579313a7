"""An average is validated as the model trains: with kept answers, and in batches of one size."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch

from detect_tl.models.cut import cut_before, run_front
from detect_tl.training.forward import Forward
from tests.models.test_cut import model_of, tensors


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize("first", [None, 11])
@pytest.mark.parametrize("even", [True, False])
def test_a_smaller_batch_is_answered_as_it_is(task: str, first: int | None, even: bool) -> None:
    model = model_of("yolo11n", task)
    average = deepcopy(model).eval()
    asked: list[int] = []
    average.model[0].register_forward_hook(lambda _, inputs, __: asked.append(len(inputs[0])))
    forward = Forward(model, torch.device("cpu"), mixed=False)
    forward.even = even
    forward.cut = None if first is None else cut_before(model, first)
    batches = [torch.rand(3, 3, 64, 64), torch.rand(2, 3, 64, 64)]
    with torch.no_grad():
        plain = [tensors(average(images)) for images in batches]
        asked.clear()
        kept: dict[int, Any] = {}
        turn = iter([0, 1])
        with forward.lent_to(average, kept, lambda: next(turn)):
            found = [tensors(average(images)) for images in batches]
    assert asked == [3, 3 if even else 2]
    for wanted, got in zip(plain, found, strict=True):
        assert [t.shape for t in got] == [t.shape for t in wanted]
        for a, b in zip(wanted, got, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_the_layers_behind_a_cut_are_read_when_it_is_set() -> None:
    """They may have trained between two stages in which their answers are kept."""
    model = model_of("yolo11n", "detect")
    forward = Forward(model, torch.device("cpu"), mixed=False)
    images = torch.rand(2, 3, 64, 64)
    for shift in (0.0, 0.5):
        with torch.no_grad():
            model.model[0].bn.bias += shift
            forward.cut = cut_before(model, 5)
            wanted = run_front(model.model, forward.cut, images)
        found = forward.front(images)
        assert found.keys() == wanted.keys() == {4}
        torch.testing.assert_close(found[4], wanted[4], rtol=1e-4, atol=1e-4)
