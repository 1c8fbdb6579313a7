"""Suppression inside a graph: the same objects as the runtime's own, for any answer of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from detect_tl.core.errors import GateError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.gate_images import GateImage
from detect_tl.export.metadata import metadata_of, stamp
from detect_tl.export.suppression import append_suppression, require_same_rows
from detect_tl.runtime.backends import Backend, load_backend

SIDE = 64
NAMES = ("a", "b", "c")
IMAGES = [GateImage("grey", np.full((SIDE, SIDE, 3), 90, np.uint8))]


def crowded(seed: int, *, batch: int, anchors: int, coefficients: int) -> np.ndarray:
    """Boxes that overlap, with scores around the threshold, some of them the same."""
    rng = np.random.default_rng(seed)
    centre, size = rng.uniform(10, 54, (batch, 2, anchors)), rng.uniform(8, 24, (batch, 2, anchors))
    scores = np.round(rng.beta(1, 3, (batch, len(NAMES), anchors)), 3)
    extra = rng.normal(size=(batch, coefficients, anchors))
    return np.concatenate((centre, size, scores, extra), axis=1).astype(np.float32)


def model_of(answer: np.ndarray, task: str, *, dynamic: bool = False) -> onnx.ModelProto:
    """A model that gives this answer to everything."""
    batch, _, anchors = answer.shape
    nodes = [
        helper.make_node("ReduceMin", ["images"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["output0"]),
    ]
    held = {"answer": answer, "zero": np.zeros((), np.float32)}
    shape = [batch, answer.shape[1], "anchors" if dynamic else anchors]
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)]
    if task == "segment":
        prototypes = np.ones((batch, answer.shape[1] - 7, SIDE // 4, SIDE // 4), np.float32)
        held["prototypes"] = prototypes
        nodes.append(helper.make_node("Add", ["prototypes", "nothing"], ["output1"]))
        shape = list(prototypes.shape)
        outputs.append(helper.make_tensor_value_info("output1", TensorProto.FLOAT, shape))
    start = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])]
    constants = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "fixed", start, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def written(graph: onnx.ModelProto, spec: ModelSpec, path: Path, *, nms: bool) -> Backend:
    stamp(graph, metadata_of(spec, "fp32", {}, nms=nms))
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)
    return load_backend(path, "onnxruntime", device="cpu")


CASES = [
    (1, 40, "detect", False),
    (1, 700, "detect", True),  # more that overlap than are kept
    (2, 60, "detect", False),
    (3, 5, "segment", False),
    (1, 120, "segment", True),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", CASES)
def test_the_graph_shows_what_the_runtime_shows(
    tmp_path: Path, seed: int, case: tuple[int, int, str, bool]
) -> None:
    batch, anchors, task, dynamic = case
    spec = ModelSpec(names=NAMES, task=task, imgsz=(SIDE, SIDE), batch=batch)  # type: ignore[arg-type]
    answer = crowded(seed, batch=batch, anchors=anchors, coefficients=4 * (task == "segment"))
    graph = model_of(answer, task, dynamic=dynamic)
    plain = written(graph, spec, tmp_path / "plain.onnx", nms=False)
    done = written(append_suppression(graph, spec), spec, tmp_path / "nms.onnx", nms=True)
    assert done.spec == replace(spec, end2end=True)
    (rows, *_) = done.infer(np.zeros((batch, 3, SIDE, SIDE), np.float32))
    assert rows.shape == (batch, min(anchors, 300), 6 + answer.shape[1] - 7)
    assert (np.diff(rows[:, :, 4], axis=1) <= 0).all()
    assert np.count_nonzero(rows[:, :, 4])
    require_same_rows(plain, done, IMAGES)


def test_other_objects_are_refused(tmp_path: Path) -> None:
    spec = ModelSpec(names=NAMES, imgsz=(SIDE, SIDE))
    one, other = (crowded(seed, batch=1, anchors=40, coefficients=0) for seed in (0, 1))
    plain = written(model_of(one, "detect"), spec, tmp_path / "plain.onnx", nms=False)
    graph = append_suppression(model_of(other, "detect"), spec)
    done = written(graph, spec, tmp_path / "nms.onnx", nms=True)
    with pytest.raises(GateError, match=r"on grey the suppression .* have no like"):
        require_same_rows(plain, done, IMAGES)
