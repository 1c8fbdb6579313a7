"""Non-maximum suppression as the last part of a graph, for programs without any postprocessing.

The rows are those that `runtime.postprocess.decode` gives with the usual settings: a box has its
best class only, boxes compete within a class, the best 300 of a picture are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.detections import Detections
from detect_tl.core.errors import GateError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.difference import unmatched
from detect_tl.export.gate_images import GateImage
from detect_tl.export.parity import CONFIDENCE
from detect_tl.runtime.backends import Backend
from detect_tl.runtime.detector import Detector

if TYPE_CHECKING:
    import onnx

IOU = 0.7
MAX_DETECTIONS = 300

_ROUNDING = 1e-3  # by which a score may differ
_FLOAT = 1  # onnx.TensorProto.FLOAT, without importing onnx for it
_ZERO = np.zeros((), np.float32)
_CORNERS = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)
"""What centres and sizes are multiplied with to become corners."""


def append_suppression(graph: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """A copy of a graph whose first output is (batch, rows, 6 + coefficients), suppressed.

    spec: of the graph as it is. Rows are x1, y1, x2, y2, score, class, best first; where there are
    fewer objects than rows, the last have a score of 0. Prototypes stay as they are.
    """
    import onnx

    done = onnx.ModelProto()
    done.CopyFrom(graph)
    first = done.graph.output[0]
    raw = f"{first.name}_raw"
    for node in done.graph.node:
        for names in (node.input, node.output):
            names[:] = [raw if name == first.name else name for name in names]
    values, anchors = (item.dim_value for item in first.type.tensor_type.shape.dim[1:])
    coefficients = values - 4 - spec.class_count
    _Tail(done.graph, spec.class_count, coefficients).add_rows(raw, first.name)
    _, rows, columns = first.type.tensor_type.shape.dim
    columns.Clear()
    columns.dim_value = 6 + coefficients
    if anchors:
        rows.dim_value = min(anchors, MAX_DETECTIONS)
    else:
        rows.dim_param = "rows"
    return done


def require_same_rows(plain: Backend, suppressed: Backend, images: Sequence[GateImage]) -> None:
    """Raise GateError where the two models do not show the same objects.

    plain: read by the runtime's own postprocessing.
    """
    detectors = Detector(plain, conf=CONFIDENCE, iou=IOU), Detector(suppressed, conf=CONFIDENCE)
    for image in images:
        ours, theirs = (detector([image.pixels])[0] for detector in detectors)
        lost = _missing(ours, theirs) + _missing(theirs, ours)
        if lost:
            raise GateError(
                f"on {image.name} the suppression in the graph shows {len(theirs)} objects, the "
                f"runtime's {len(ours)}: {lost} have no like",
                hint="Nothing was written. Leave --nms out.",
            )


def _missing(shown: Detections, other: Detections) -> int:
    """Detections that the other does not show; a score right at the threshold may go either way."""
    sure = shown.where(shown.score > CONFIDENCE + _ROUNDING)
    return unmatched(sure, other, Detections.empty(), score=_ROUNDING, iou=0.99)


class _Tail:
    """Adds nodes at the end of a graph; B, C, M, A: batch, classes, coefficients, anchors."""

    def __init__(self, graph: onnx.GraphProto, classes: int, coefficients: int) -> None:
        self._graph, self._classes, self._coefficients = graph, classes, coefficients
        self._count = 0

    def add_rows(self, raw: str, output: str) -> None:
        """From (B, 4 + C + M, A) to (B, rows, 6 + M)."""
        last = 4 + self._classes
        boxes = self._turned(self._cut(raw, 0, 4))  # (B, A, 4)
        scores = self._cut(raw, 4, last)  # (B, C, A)
        label = self._add("ArgMax", scores, axis=1, keepdims=1)  # (B, 1, A)
        kept = self._survivors(boxes, self._best_only(scores, label), label)  # (B, A)
        score, order = self._best_first(kept)  # (B, rows)
        order = self._shaped(order, 0, -1, 1)
        kinds = self._add("Cast", self._turned(label), to=_FLOAT)
        columns = [
            self._add("MatMul", self._pick(boxes, order, 4), self._value(_CORNERS)),
            self._shaped(score, 0, -1, 1),
            self._pick(kinds, order, 1),
        ]
        if self._coefficients:
            extra = self._turned(self._cut(raw, last, last + self._coefficients))
            columns.append(self._pick(extra, order, self._coefficients))
        self._add("Concat", *columns, outputs=[output], axis=2)

    def _best_only(self, scores: str, label: str) -> str:
        """Scores, 0 for all but the first best class of a box."""
        ids = self._value(np.arange(self._classes, dtype=np.int64).reshape(1, -1, 1))
        return self._add("Where", self._add("Equal", label, ids), scores, self._value(_ZERO))

    def _survivors(self, boxes: str, best: str, label: str) -> str:
        """The score of each box, 0 for those that are suppressed."""
        found = self._add(
            "NonMaxSuppression",
            boxes,
            best,
            self._integers(MAX_DETECTIONS),
            self._value(np.array([IOU], np.float32)),
            self._value(np.array([CONFIDENCE], np.float32)),
            center_point_box=1,
        )  # (found, 3): picture, class, anchor
        nothing = self._add("Mul", best, self._value(_ZERO))
        dense = self._add("ScatterND", nothing, found, self._add("GatherND", best, found))
        return self._shaped(self._add("GatherElements", dense, label, axis=1), 0, -1)

    def _best_first(self, scores: str) -> tuple[str, str]:
        """The best scores of each picture, and their anchors."""
        anchors = self._add("Gather", self._add("Shape", scores), self._integers(1))
        count = self._add("Min", anchors, self._integers(MAX_DETECTIONS))
        outputs = ["/suppression/scores", "/suppression/anchors"]
        self._add("TopK", scores, count, outputs=outputs, axis=1)
        return outputs[0], outputs[1]

    def _pick(self, data: str, order: str, width: int) -> str:
        """Rows of (B, A, width) in an order of (B, rows, 1)."""
        wide = self._add("Expand", order, self._integers(1, 1, width))
        return self._add("GatherElements", data, wide, axis=1)

    def _cut(self, raw: str, start: int, end: int) -> str:
        """Values of axis 1."""
        return self._add("Slice", raw, *(self._integers(n) for n in (start, end, 1)))

    def _turned(self, name: str) -> str:
        return self._add("Transpose", name, perm=[0, 2, 1])

    def _shaped(self, name: str, *shape: int) -> str:
        return self._add("Reshape", name, self._integers(*shape))

    def _integers(self, *values: int) -> str:
        return self._value(np.array(values, np.int64))

    def _value(self, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._graph.initializer.append(numpy_helper.from_array(value, self._name("value")))
        return str(self._graph.initializer[-1].name)

    def _add(self, kind: str, *inputs: str, outputs: Sequence[str] = (), **settings: Any) -> str:
        from onnx import helper

        name = self._name(kind)
        node = helper.make_node(kind, inputs, outputs or [name], name=name, **settings)
        self._graph.node.append(node)
        return str(node.output[0])

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"/suppression/{kind}_{self._count}"
