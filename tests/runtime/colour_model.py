"""A small real ONNX model with exact answers: it detects cells that are red, green or blue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAMES = ("red", "green", "blue")
CELL = 8
"""Side of a cell in input pixels; each cell is one anchor."""


def colour_model(
    path: Path,
    *,
    side: int = 64,
    task: str = "detect",
    any_batch: bool = False,
    batch: int = 1,
    half: bool = False,
    end2end: bool = False,
    box: int = CELL,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write the model.

    The score of a class is the mean of its channel over a cell, so a fully red cell is "red" with
    score 1 and grey padding scores 0.447. Masks are where the mean of all channels is above 1/6.
    `box` is the side of the box around a cell, so that those of a cell and the next may overlap.
    `metadata` replaces single keys; an empty text removes one.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    shape = ["batch", 3, side, side] if any_batch else [batch, 3, side, side]
    graph = _Graph(half)
    scores = graph.add("AveragePool", ["images"], kernel_shape=[CELL] * 2, strides=[CELL] * 2)
    flat = graph.add("Reshape", [scores, graph.constant("flat", np.array([0, 3, -1]))])
    zeros = graph.add("Mul", [flat, graph.number("zero", np.zeros(()))])
    one = graph.add("Slice", [zeros, *graph.integers("first", [0], [1], [1])])
    boxes = graph.add("Add", [one, graph.number("boxes", _boxes(side, box, corners=end2end))])
    if end2end:
        best = graph.add("ReduceMax", [flat, graph.constant("one", np.array([1]))], keepdims=1)
        which = graph.add("ArgMax", [flat], axis=1, keepdims=1)
        index = graph.add("Cast", [which], to=kind)
        rows = graph.add("Concat", [boxes, best, index], axis=1)
    else:
        rows = graph.add("Concat", [boxes, flat], axis=1)
    outputs = [rows]
    if task == "segment":
        ones = graph.add("Add", [zeros, graph.number("unit", np.ones(()))])
        outputs = [graph.add("Concat", [rows, ones], axis=1)]
        pooled = graph.add("AveragePool", ["images"], kernel_shape=[4, 4], strides=[4, 4])
        outputs.append(graph.add("Sub", [pooled, graph.number("cut", np.full((), 1 / 6))]))
    if end2end:
        outputs[0] = graph.add("Transpose", [outputs[0]], perm=[0, 2, 1])
    model = graph.model(shape, outputs, kind)
    meta = {
        "names": repr(dict(enumerate(NAMES))),
        "task": task,
        "imgsz": f"[{side}, {side}]",
        "stride": str(CELL),
        "batch": str(batch),
        "end2end": str(end2end),
        "args": "{'nms': None}",
    } | (metadata or {})
    helper.set_model_props(model, {key: value for key, value in meta.items() if value})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _boxes(side: int, box: int, *, corners: bool) -> np.ndarray:
    """(1, 4, anchors): centre and size of every cell's box, row by row; or its two corners."""
    low = np.arange(0, side, CELL, dtype=float)
    y, x = (grid.ravel() for grid in np.meshgrid(low, low, indexing="ij"))
    if corners:
        return np.stack([x, y, x + CELL, y + CELL])[None]
    size = np.full_like(x, box)
    return np.stack([x + CELL / 2, y + CELL / 2, size, size])[None]


class _Graph:
    def __init__(self, half: bool) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._float = np.float16 if half else np.float32

    def add(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def number(self, name: str, value: np.ndarray) -> str:
        return self.constant(name, value.astype(self._float))

    def integers(self, name: str, *values: list[int]) -> list[str]:
        return [self.constant(f"{name}{i}", np.array(v)) for i, v in enumerate(values)]

    def model(self, shape: list[int | str], outputs: list[str], kind: int) -> onnx.ModelProto:
        ends = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
        start = [helper.make_tensor_value_info("images", kind, shape)]
        graph = helper.make_graph(self._nodes, "colours", start, ends, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model)
