"""Eight bits: weights of a channel and activations of a layer counted in 255 steps of their range.

The file holds the float graph with pairs of QuantizeLinear and DequantizeLinear (QDQ) around what
is to run in integers, which every engine understands; ranges come from the user's own pictures.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import UsageError
from detect_tl.core.images import read_image
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.gate_images import evenly
from detect_tl.export.half import head_nodes
from detect_tl.runtime.backends import exact_integers
from detect_tl.runtime.integers import IntegerPlan
from detect_tl.runtime.preprocess import preprocess

if TYPE_CHECKING:
    import onnx

Float = NDArray[np.float32]
Ranges = Mapping[str, tuple[float, float]]
"""Least and largest value of each tensor."""

CALIBRATION_IMAGES = 32
FEWEST_IMAGES = 8

OPERATORS = ("Conv", "Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Split", "Resize")
"""What runs in integers; attention's products and softmax do not bear it."""

_FLOAT = 1  # onnx.TensorProto.FLOAT, without importing onnx for it
_EXTREMES = ("ReduceMin", "ReduceMax")

_SILU_FLOOR = -6.0
"""x sigmoid(x) is above -0.015 below this: what a SiLU reads need not be told apart there.

The convolutions before it reach down to -80 where the values that count end at 40; cut here, the
steps are a third as wide."""

_LAYER = re.compile(r"/model\.(\d+)/(?:((?:one2one_)?cv\d|proto)[./])?")
_LAST = re.compile(r"/model\.\d+/(?:one2one_)?(cv\d)\.\d/(?:one2one_)?\1\.\d\.2/Conv$")


@dataclass(frozen=True, slots=True)
class Quantizer:
    """A float graph, the ranges of its tensors, and the groups of nodes that may be quantized.

    groups: names of nodes by layer, "2", or by branch of the head, "23/cv3". The last convolution
    of each branch is in none: a logit counts in steps that would be seen in every score, and these
    are the cheapest ones. Nor is what decodes the boxes, see `head_nodes`.
    """

    graph: onnx.ModelProto
    ranges: Ranges
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def plan(self, groups: Iterable[str]) -> IntegerPlan:
        """The same for engines that begin with the float graph, and with less that is rounded.

        What lies between a convolution and the end of its SiLU is not: such engines calculate the
        three in one.
        """
        names = {name for group in groups for name in self.groups[group]}
        nodes = [node for node in self.graph.graph.node if node.name in names]
        within = _before_silu(self.graph)
        within |= {n.output[0] for n in nodes if n.op_type == "Sigmoid" and n.input[0] in within}
        held = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output))
        return IntegerPlan(
            {name: self.ranges[name] for name in held if name in self.ranges.keys() - within},
            tuple(node.output[0] for node in nodes if node.op_type == "Conv"),
        )

    def quantize(self, groups: Iterable[str]) -> onnx.ModelProto:
        """A copy of the graph with these groups in integers."""
        from copy import deepcopy

        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        names = [name for group in groups for name in self.groups[group]]
        ranges = {k: tuple(np.float32(v) for v in pair) for k, pair in self.ranges.items()}
        quantizer = QDQQuantizer(
            deepcopy(self.graph),
            per_channel=True,
            reduce_range=True,  # weights of 7 bits: see `integers.MOST`
            weight_qType=QuantType.QInt8,
            # signed ones have no fast kernel on x86: slower than floats
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=names,
            nodes_to_exclude=[] if names else [node.name for node in self.graph.graph.node],
            op_types_to_quantize=list(OPERATORS),
            extra_options={},
        )
        quantizer.quantize_model()
        done: onnx.ModelProto = quantizer.model.model
        return done


def calibration_batches(paths: Sequence[Path], spec: ModelSpec) -> list[Float]:
    """Pictures as the runtime prepares them, evenly chosen: (batch, 3, height, width) each.

    Raises UsageError when they are too few to tell what a model will meet.
    """
    if len(paths) < FEWEST_IMAGES:
        raise UsageError(
            f"int8 is calibrated on pictures of your own, and there are only {len(paths)}",
            hint=f"Name a folder of {FEWEST_IMAGES} or more with --data.",
        )
    chosen = evenly(sorted(paths), CALIBRATION_IMAGES)
    size = 1 if spec.dynamic else spec.batch
    groups = [chosen[k : k + size] for k in range(0, len(chosen), size)]
    full = [[*group, *chosen * size][:size] for group in groups]
    return [preprocess([read_image(path) for path in group], spec.imgsz)[0] for group in full]


def make_quantizer(graph: onnx.ModelProto, batches: Sequence[Float]) -> Quantizer:
    """Run pictures through a float graph and note how far its tensors reach.

    batches: as the model takes them, prepared as for detection.
    """
    from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer

    inferred = save_and_reload_model_with_shape_infer(graph)
    return Quantizer(inferred, _ranges(inferred, batches), _groups(inferred))


def _groups(graph: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    layers = [int(found[1]) for n in graph.graph.node if (found := _LAYER.match(n.name))]
    head, decoding = str(max(layers, default=-1)), set(head_nodes(graph))
    groups = defaultdict(list)
    for node in graph.graph.node:
        found = _LAYER.match(node.name)
        if found is None or node.op_type not in OPERATORS or node.name in decoding:
            continue
        if not _LAST.match(node.name):
            branch = f"/{found[2]}" if found[1] == head and found[2] else ""
            groups[found[1] + branch].append(node.name)
    return {name: tuple(nodes) for name, nodes in groups.items()}


def _ranges(graph: onnx.ModelProto, batches: Sequence[Float]) -> Ranges:
    """Halfway between the mean of the pictures' extremes and the extreme of them all.

    The one cuts what few pictures reach, the other keeps it at the price of wider steps; measured
    on yolo11n, the answers are nearest to the float ones in between.
    """
    names = _watched(graph)
    seen = _extremes(graph, names, batches)
    low = (seen[:, 0].mean(axis=0) + seen[:, 0].min(axis=0)) / 2
    high = (seen[:, 1].mean(axis=0) + seen[:, 1].max(axis=0)) / 2
    silu = _before_silu(graph)
    return {
        name: (max(least, _SILU_FLOOR) if name in silu else least, most)
        for name, least, most in zip(names, low.tolist(), high.tolist(), strict=True)
    }


def _watched(graph: onnx.ModelProto) -> list[str]:
    """The tensors of floats that quantizable nodes read or write, weights left out."""
    held = graph.graph
    floats = {
        info.name
        for info in (*held.input, *held.output, *held.value_info)
        if info.type.tensor_type.elem_type == _FLOAT
    }
    nodes = [node for node in held.node if node.op_type in OPERATORS]
    names = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output))
    return [name for name in names if name in floats]


def _extremes(graph: onnx.ModelProto, names: Sequence[str], batches: Sequence[Float]) -> Float:
    """Least and largest value of each tensor on each batch: (batches, 2, names)."""
    import onnx
    from onnx import helper

    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    outputs = [(kind, f"{name}:{kind}", name) for kind in _EXTREMES for name in names]
    for kind, output, name in outputs:
        watched.graph.node.append(helper.make_node(kind, [name], [output], keepdims=0))
        watched.graph.output.append(helper.make_tensor_value_info(output, _FLOAT, []))
    session = open_session(watched)
    wanted = [output for _, output, _ in outputs]
    feed = graph.graph.input[0].name
    rows = [session.run(wanted, {feed: batch}) for batch in batches]
    return np.array(rows, np.float32).reshape(len(batches), 2, len(names))


def open_session(graph: onnx.ModelProto) -> Any:
    """A session for a graph in memory, set up as the runtime's own.

    Integers are multiplied exactly, see `exact_integers`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.x64quantprecision", exact_integers())
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=providers)


def _before_silu(graph: onnx.ModelProto) -> set[str]:
    """Tensors that nothing reads but x sigmoid(x)."""
    readers = defaultdict(list)
    for node in graph.graph.node:
        for name in node.input:
            readers[name].append(node)
    return {
        name
        for name, nodes in readers.items()
        if sorted(node.op_type for node in nodes) == ["Mul", "Sigmoid"]
    }
