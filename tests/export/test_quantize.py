"""Eight bits: where integers go, how far tensors reach, and which layers are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from detect_tl.core.errors import UsageError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.export.container import write_model
from detect_tl.export.half import head_nodes
from detect_tl.export.metadata import metadata_of
from detect_tl.export.model import ExportResult, export_model
from detect_tl.export.quantize import Quantizer, calibration_batches, make_quantizer, open_session
from detect_tl.export.sensitivity import NEAR_ENOUGH, quantized
from tests.export.conftest import IMGSZ, Maker

SPEC = ModelSpec(names=("a", "b"), imgsz=(8, 8))


def small_graph() -> onnx.ModelProto:
    """A convolution and its SiLU, named as Ultralytics names them, and a last convolution."""
    rng = np.random.default_rng(0)
    held = {
        "w0": rng.normal(0, 6, (4, 3, 3, 3)),
        "w1": rng.normal(0, 1, (6, 4, 1, 1)),
        "shape": np.array([0, 6, -1]),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w0"], ["conv"], "/model.0/conv/Conv", pads=[1] * 4),
        helper.make_node("Sigmoid", ["conv"], ["gate"], "/model.0/act/Sigmoid"),
        helper.make_node("Mul", ["conv", "gate"], ["silu"], "/model.0/act/Mul"),
        helper.make_node("Conv", ["silu", "w1"], ["last"], "/model.1/cv3.0/cv3.0.2/Conv"),
        helper.make_node("Reshape", ["last", "shape"], ["output0"], "/model.1/Reshape"),
    ]
    constants = [
        numpy_helper.from_array(v.astype(np.int64 if k == "shape" else np.float32), k)
        for k, v in held.items()
    ]
    ends = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 64])]
    start = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 8])]
    graph = helper.make_graph(nodes, "small", start, ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def batches(count: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.random((1, 3, 8, 8), np.float32) * (k + 1) / count for k in range(count)]


def test_ranges_lie_between_the_mean_and_the_farthest() -> None:
    quantizer = make_quantizer(small_graph(), batches())
    low, high = ([float(f(batch)) for batch in batches()] for f in (np.min, np.max))
    want = (np.mean(low) + min(low)) / 2, (np.mean(high) + max(high)) / 2
    assert quantizer.ranges["images"] == pytest.approx(want)
    assert quantizer.ranges["conv"][0] == -6.0  # nothing but a SiLU reads it
    assert quantizer.ranges["conv"][1] > 6.0
    assert quantizer.ranges["silu"][0] == pytest.approx(-0.2785, abs=0.01)  # the least of a SiLU


def test_the_last_convolution_stays_in_floats() -> None:
    quantizer = make_quantizer(small_graph(), batches())
    assert quantizer.groups == {
        "0": ("/model.0/conv/Conv", "/model.0/act/Sigmoid", "/model.0/act/Mul")
    }
    graph = quantizer.quantize(["0"]).graph
    kinds = {item.name: item.data_type for item in graph.initializer}
    assert kinds["w1"] == TensorProto.FLOAT
    assert kinds["w0_quantized"] == TensorProto.INT8
    scales = [node.input[1] for node in graph.node if node.input[0] == "w0_quantized"]
    sizes = {item.name: list(item.dims) for item in graph.initializer}
    assert sizes[scales[0]] == [4]  # one for every channel
    points = [n.input[2] for n in graph.node if n.op_type == "QuantizeLinear"]
    assert {kinds[name] for name in points} == {TensorProto.UINT8}


def test_integers_answer_nearly_as_floats_do() -> None:
    graph = small_graph()
    done = make_quantizer(graph, batches()).quantize(["0"])
    for batch in batches()[:3]:  # what goes far beyond the mean is cut
        (want,), (got,) = (open_session(g).run(None, {"images": batch}) for g in (graph, done))
        assert 0 < np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)


@pytest.mark.parametrize("careful", ["0", "1"])
def test_no_program_clips_sums(tmp_path: Path, careful: str) -> None:
    """Where a processor lacks VNNI, ONNX Runtime adds two products up in 16 bits, unless told not
    to."""
    graph = small_graph()
    weights = next(item for item in graph.graph.initializer if item.name == "w0")
    weights.CopyFrom(numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w0"))
    bright = np.ones((1, 3, 8, 8), np.float32)
    done = make_quantizer(graph, [bright]).quantize(["0"])
    (want,) = open_session(graph).run(None, {"images": bright})
    path = tmp_path / "m.onnx"
    write_model(done, path, "int8", metadata_of(SPEC, "int8", {}))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", careful)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"images": bright})
    np.testing.assert_allclose(got, want, rtol=0.02)


def test_the_same_pictures_give_the_same_bytes() -> None:
    first, second = (
        make_quantizer(small_graph(), batches()).quantize(["0"]).SerializeToString(True)
        for _ in range(2)
    )
    assert first == second


def test_no_group_gives_the_float_graph() -> None:
    done = make_quantizer(small_graph(), batches()).quantize([])
    assert "QuantizeLinear" not in {node.op_type for node in done.graph.node}


class Noisy(Quantizer):
    """Pretends to quantize: each group moves the scores by what it is said to cost."""

    __slots__ = ("costs",)

    @classmethod
    def of(cls, costs: dict[str, float]) -> Noisy:
        made = cls(small_graph(), {}, dict.fromkeys(costs, ()))
        object.__setattr__(made, "costs", costs)
        return made

    def quantize(self, groups: Iterable[str]) -> onnx.ModelProto:
        graph = onnx.ModelProto()
        graph.CopyFrom(self.graph)
        scale = np.float32(1 + sum(self.costs[group] for group in groups))
        weights = next(item for item in graph.graph.initializer if item.name == "w1")
        weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * scale, "w1"))
        return graph


def test_the_costliest_groups_go_back_to_floats_first() -> None:
    costs = {"a": 0.01, "b": 0.5, "c": 0.02, "d": 0.2, "e": 0.03}
    found = list(quantized(Noisy.of(costs), SPEC, batches()))
    assert [[cost.group for cost in one.kept] for one in found] == [
        ["b", "d"],
        ["b", "d", "e", "c"],
    ]
    assert [one.error for one in found] == pytest.approx([0.06, 0.01], rel=1e-3)
    assert found[0].kept[0].error == pytest.approx(0.5, rel=1e-3)
    assert all(one.error <= NEAR_ENOUGH for one in found)


def test_a_model_that_bears_nothing_yields_nothing() -> None:
    assert list(quantized(Noisy.of({"a": 1.0, "b": 2.0}), SPEC, batches())) == []


def test_few_pictures_are_too_few(pictures: list[Path]) -> None:
    with pytest.raises(UsageError, match="calibrated on pictures of your own, and there are only"):
        calibration_batches(pictures[:3], SPEC)


@pytest.mark.parametrize(("batch", "calls"), [(1, 8), (3, 3), (20, 1)])
def test_pictures_fill_the_batches(pictures: list[Path], batch: int, calls: int) -> None:
    made = calibration_batches(pictures, ModelSpec(names=("a",), imgsz=(32, 64), batch=batch))
    assert [part.shape for part in made] == [(batch, 3, 32, 64)] * calls


@pytest.fixture(scope="module")
def int8(
    make_checkpoint: Maker, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> ExportResult:
    out = tmp_path_factory.mktemp("int8") / "m.onnx"
    return export_model(make_checkpoint("yolov8n"), out, images=pictures, precision="int8")


@pytest.mark.slow
def test_a_real_network_passes_its_gates(int8: ExportResult) -> None:
    assert int8.quantized is not None
    assert int8.accuracy is not None
    assert int8.accuracy.basis == "checkpoint"
    assert any("mAP was not measured" in note for note in int8.notes)
    assert int8.quantized.error <= NEAR_ENOUGH
    kept = {cost.group for cost in int8.quantized.kept}
    graph = onnx.load(int8.path)
    integers = [n for n in graph.graph.node if n.op_type == "QuantizeLinear"]
    assert len(integers) > 4 * (int8.quantized.groups - len(kept)) / 2
    assert {node.op_type for node in graph.graph.node if node.name in head_nodes(graph)} >= {
        "Softmax",
        "Sigmoid",
    }
    assert int8.spec.imgsz == (IMGSZ, IMGSZ)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"opset": 12}, "opset 12 has no int8"), ({"images": 2}, "there are only 2")],
)
def test_what_int8_cannot_do_is_refused(
    checkpoint: Path, pictures: list[Path], tmp_path: Path, options: dict[str, int], says: str
) -> None:
    count = options.pop("images", len(pictures))
    with pytest.raises(UsageError, match=says):
        export_model(
            checkpoint, tmp_path / "m.onnx", images=pictures[:count], precision="int8", **options
        )
    assert list(tmp_path.iterdir()) == []
