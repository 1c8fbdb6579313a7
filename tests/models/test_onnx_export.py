"""The graph of a model: what it answers, and in which operators."""

from __future__ import annotations

import onnx
import pytest
import torch

from detect_tl.core.model_spec import ModelSpec
from detect_tl.models.onnx_export import build_graph
from detect_tl.models.yolo import DFL, build_model, model_config

SPEC = ModelSpec(names=("a", "b"), imgsz=(64, 96))


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(1)
    return build_model(model_config("yolo11n", "detect"), "detect", 2).eval()


@pytest.mark.parametrize("dynamic", [False, True])
def test_softmax_goes_over_the_last_axis(model: torch.nn.Module, dynamic: bool) -> None:
    """Over another one ONNX Runtime turns all of its input around, twice."""
    graph = onnx.shape_inference.infer_shapes(build_graph(model, SPEC, dynamic=dynamic)).graph
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}
    nodes = [node for node in graph.node if node.op_type == "Softmax"]
    assert any("dfl" in node.name for node in nodes)
    for node in nodes:
        axis = onnx.helper.get_node_attr_value(node, "axis")
        assert axis in (-1, ranks[node.output[0]] - 1), node.name


def test_the_model_itself_stays_as_it_was(model: torch.nn.Module) -> None:
    build_graph(model, SPEC)
    (dfl,) = (module for module in model.modules() if isinstance(module, DFL))
    assert "forward" not in vars(dfl)
