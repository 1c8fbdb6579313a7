"""Half precision: weights of 16 bits, and the arithmetic that bears it."""

from __future__ import annotations

import logging
import re
import warnings
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import onnx

Precision = Literal["fp32", "fp16", "int8", "fp32+int8"]
"""Numbers of a file; the last: floats, and what it takes to run them in integers."""

_FLOAT = 1  # onnx.TensorProto.FLOAT, without importing onnx for it

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

OF_INTEGERS: frozenset[Precision] = frozenset({"int8", "fp32+int8"})
"""Those that are calibrated, and lose more than rounding."""


def to_half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Convert to fp16, all but the last step of the head; inputs and outputs stay fp32.

    Half precision counts in steps of 0.5 above 512, so a box decoded in it would be off by half a
    pixel: what the head does after its convolutions stays in fp32, which costs no weights.
    """
    import onnxslim
    from onnxruntime.transformers import float16

    noisy = logging.getLogger(float16.__name__)
    before = noisy.level
    noisy.setLevel(logging.ERROR)  # it reports every weight below the smallest half number
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted: onnx.ModelProto = float16.convert_float_to_float16(
                graph, keep_io_types=True, node_block_list=head_nodes(graph)
            )
    finally:
        noisy.setLevel(before)
    _drop_round_trips(converted.graph)
    slim: onnx.ModelProto = onnxslim.slim(converted)  # puts the nodes back into their order
    return slim


def _drop_round_trips(graph: onnx.GraphProto) -> None:
    """Take out the casts to fp16 and back that the converter puts between nodes kept in fp32.

    It surrounds every single one of them with casts, which rounds what they hand to each other,
    and gives casts of the same value the same name, which no engine loads.
    """
    maker = {output: node for node in graph.node for output in node.output}
    exact = {}  # a value that was rounded on the way -> the one that it was made from
    for node in graph.node:
        down = maker.get(node.input[0]) if node.op_type == "Cast" and _to(node) == _FLOAT else None
        if down is not None and down.op_type == "Cast" and down.name.endswith("_cast_to_fp16_node"):
            exact[node.output[0]] = down.input[0]
    outputs = {output.name for output in graph.output}
    final = {exact[name]: name for name in outputs & exact.keys()}
    kept, seen = [], set()
    for node in graph.node:
        if node.op_type == "Cast" and (node.output[0] in exact or node.name in seen):
            continue
        seen.add(node.name)
        node.input[:] = [final.get(n, n) for n in (exact.get(name, name) for name in node.input)]
        node.output[:] = [final.get(name, name) for name in node.output]
        kept.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in kept]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(copies)


def _to(cast: onnx.NodeProto) -> int:
    return next(int(attribute.i) for attribute in cast.attribute if attribute.name == "to")


def head_nodes(graph: onnx.ModelProto) -> list[str]:
    """Names of the nodes that turn the head's convolutions into boxes and scores.

    Nodes are named by the module that they come from: the head is the last layer ("/model.23/"),
    its branches are cv2, cv3, cv4 (or one2one_cv2, …) and proto, and what is left is the decoding.
    """
    layers = [re.match(r"/model\.(\d+)/", node.name) for node in graph.graph.node]
    last = max((int(found[1]) for found in layers if found), default=-1)
    decoding = re.compile(rf"/model\.{last}/(?!(?:one2one_)?cv\d|proto)")
    return [node.name for node in graph.graph.node if decoding.match(node.name)]
