"""Turn a loaded model into an ONNX graph."""

from __future__ import annotations

import io
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import UsageError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.models.yolo import DFL, quiet

if TYPE_CHECKING:
    import onnx

# Newer ones bring nothing for these models, and opset 19 has no CUDA kernel for Resize in ONNX
# Runtime, nor can its quantizer read opset 21.
DEFAULT_OPSET = 18
OPSETS = range(12, 21)

# onnx writes the newest file version that it knows, which an older ONNX Runtime refuses to read
_MAX_IR_VERSION = 10

_MAX_DETECTIONS = 300


def build_graph(
    model: Any, spec: ModelSpec, *, opset: int | None = None, dynamic: bool = False
) -> onnx.ModelProto:
    """Trace a model at `spec.imgsz` and `spec.batch`, and simplify the graph.

    model: as its checkpoint holds it; a copy is changed, not the model itself.
    dynamic: leave batch, height and width free.
    Returns a graph with the inputs and outputs of `ModelSpec`, named images, output0 (and output1).

    Raises UsageError for an opset that the tracer does not write.
    """
    import onnx
    import onnxslim
    import torch

    version = DEFAULT_OPSET if opset is None else opset
    if version not in OPSETS:
        raise UsageError(
            f"opset {version} cannot be exported",
            hint=f"Choose one from {OPSETS.start} to {OPSETS.stop - 1}; {DEFAULT_OPSET} is usual.",
        )
    prepared = _prepare(model, spec, dynamic=dynamic)
    buffer = io.BytesIO()
    with quiet(), torch.no_grad():
        torch.onnx.export(
            prepared,
            torch.zeros(spec.batch, 3, *spec.imgsz),
            buffer,
            opset_version=version,
            input_names=["images"],
            output_names=_output_names(spec),
            dynamic_axes=_free_axes(spec) if dynamic else None,
            dynamo=False,  # its graphs of these models hold the same operators, in other names
        )
        graph: onnx.ModelProto = onnxslim.slim(onnx.load_from_string(buffer.getvalue()))
    graph.ir_version = min(graph.ir_version, _MAX_IR_VERSION)
    return graph


def _prepare(model: Any, spec: ModelSpec, *, dynamic: bool) -> Any:
    """A copy on the CPU in fp32, BatchNorm folded into the convolutions, head set to export."""
    copy = deepcopy(model).cpu().float().eval()
    for parameter in copy.parameters():
        parameter.requires_grad = False
    with quiet():
        copy = copy.fuse(verbose=False)
    for module in copy.modules():
        if hasattr(module, "forward_split"):  # the same sum with one node in place of two
            module.forward = module.forward_split
        if isinstance(module, DFL):
            module.forward = partial(_expected_distances, module)
    head = copy.model[-1]
    head.export, head.dynamic, head.format = True, dynamic, "onnx"
    head.max_det = min(
        _MAX_DETECTIONS, _fewest_anchors(spec, copy.stride.tolist(), dynamic=dynamic)
    )
    head.shape = None  # forget the anchors of another input size
    return copy


def _expected_distances(dfl: Any, logits: Any) -> Any:
    """What Ultralytics' DFL answers, to the bit, with its bins as the last axis.

    logits: (batch, 4 x bins, anchors); returns (batch, 4, anchors). ONNX Runtime's softmax over
    another axis first moves that to the end and then back: a tenth of the time of yolo11n.
    """
    batch, _, anchors = logits.shape
    rows = logits.view(batch, 4, dfl.c1, anchors).permute(0, 3, 1, 2).softmax(-1)
    return (rows @ dfl.conv.weight.view(dfl.c1, 1)).view(batch, anchors, 4).permute(0, 2, 1)


def _fewest_anchors(spec: ModelSpec, strides: list[float], *, dynamic: bool) -> int:
    """Anchors of the smallest input, of which an end-to-end head must not ask for more.

    With free shapes that is the rectangle of a very thin picture.
    """
    height, width = (spec.stride, min(spec.imgsz)) if dynamic else spec.imgsz
    return sum((height // int(stride)) * (width // int(stride)) for stride in strides)


def _output_names(spec: ModelSpec) -> list[str]:
    return ["output0", "output1"] if spec.task == "segment" else ["output0"]


def _free_axes(spec: ModelSpec) -> dict[str, dict[int, str]]:
    axes = {
        "images": {0: "batch", 2: "height", 3: "width"},
        "output0": {0: "batch"} if spec.end2end else {0: "batch", 2: "anchors"},
    }
    if spec.task == "segment":
        axes["output1"] = {0: "batch", 2: "mask_height", 3: "mask_width"}
    return axes
