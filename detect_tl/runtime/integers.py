"""A float graph with all that is needed to run it in integers, where that pays.

The file stays what every engine reads as floats. How far its tensors reach stands in its metadata,
and an engine that knows what to make of it counts them in 255 steps, and weights in 128.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

PLAN_KEY = "detect_tl.int8_plan"
"""The key of the metadata that holds an `IntegerPlan`."""

MOST = 64
"""The largest signed weight. Processors without VNNI add two products with unsigned bytes up in 16
bits, which holds 2 * 255 * 64: so all processors come to the same. On coco128 (yolo11n, the same
layers) mAP50-95 was .527 with it, .521 with 127 on such a processor, .525 in floats."""


@dataclass(frozen=True, slots=True)
class IntegerPlan:
    """Where integers go.

    ranges: least and largest value of the tensors that are counted in 255 steps, by name.
    convolutions: names of the outputs of those whose weights are counted by channel.
    """

    ranges: Mapping[str, tuple[float, float]]
    convolutions: Sequence[str]

    def to_text(self) -> str:
        held = {"ranges": self.ranges, "convolutions": self.convolutions}
        return orjson.dumps(held).decode()

    @classmethod
    def from_text(cls, text: str) -> IntegerPlan:
        """Raises ValueError for a text that holds no plan."""
        try:
            held = orjson.loads(text)
            ranges = {
                str(k): (float(low), float(high)) for k, (low, high) in held["ranges"].items()
            }
            return cls(ranges, tuple(map(str, held["convolutions"])))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no plan for integers: {error!r}") from error


def steps(low: float, high: float) -> tuple[float, float]:
    """The range next to one that holds 0, and has it on one of its 255 steps."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255 or 1.0
    below = round(-low / step)
    return -below * step, (255 - below) * step


def count_in_integers(model: Any, plan: IntegerPlan) -> None:
    """Change a float model of OpenVINO so that it is compiled to integers.

    Raises ValueError when the plan is of another model.
    """
    made = {
        name: output
        for node in model.get_ordered_ops()
        for output in node.outputs()
        for name in output.get_names()
    }
    missing = {*plan.ranges, *plan.convolutions} - made.keys()
    if missing:
        raise ValueError(f"there is no tensor {min(missing)!r}")
    for name in plan.convolutions:
        _count_weights(_convolution(made[name]))
    for name, (low, high) in plan.ranges.items():
        _count_tensor(made[name], *steps(low, high))


def _count_tensor(output: Any, low: float, high: float) -> None:
    from openvino import opset13 as opset

    readers = [each for each in output.get_target_inputs() if not _is_result(each)]
    ends = [np.full((1, 1, 1, 1), end, np.float32) for end in (low, high, low, high)]
    counted = opset.fake_quantize(output, *ends, levels=256)
    for reader in readers:
        reader.replace_source_output(counted.output(0))


def _is_result(port: Any) -> bool:
    return bool(port.get_node().get_type_name() == "Result")


def _convolution(output: Any) -> Any:
    """The node whose answer, maybe with a bias added, this is."""
    node = output.get_node()
    while node.get_type_name() == "Add":
        node = node.input_value(0).get_node()
    if node.get_type_name() not in ("Convolution", "GroupConvolution"):
        raise ValueError(f"{output.get_any_name()!r} is not what a convolution answers")
    return node


def _count_weights(node: Any) -> None:
    from openvino import opset13 as opset

    weights = _constant(node.input_value(1))
    per_channel = tuple(range(2 if node.get_type_name() == "GroupConvolution" else 1, weights.ndim))
    most = np.abs(weights).max(axis=per_channel, keepdims=True)
    step = (np.where(most > 0, most, 1) / MOST).astype(np.float32)
    counted = np.rint(weights / step).astype(np.int8)
    floats = opset.convert(opset.constant(counted), np.float32)
    node.input(1).replace_source_output(opset.multiply(floats, opset.constant(step)).output(0))


def _constant(output: Any) -> NDArray[np.float32]:
    """Weights, which are reshaped on the way to a convolution of groups."""
    node = output.get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    weights: NDArray[np.float32] = np.asarray(node.data, np.float32)
    return weights.reshape(tuple(output.get_shape()))
