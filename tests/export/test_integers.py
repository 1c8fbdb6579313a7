"""Float files that say how to run them in integers: the plan, the engine, and the gates."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given, strategies as st

from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.export.container import write_model
from detect_tl.export.metadata import metadata_of
from detect_tl.export.model import export_model
from detect_tl.export.quantize import make_quantizer, open_session
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.integers import PLAN_KEY, IntegerPlan, count_in_integers, steps
from tests.export.conftest import NAMES, Maker
from tests.export.test_quantize import SPEC, batches, small_graph

numbers = st.floats(-1e4, 1e4, width=32)


@given(numbers, numbers)
def test_steps_begin_and_end_about_where_the_range_does_and_hit_zero(a: float, b: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    first, last = steps(min(a, b), max(a, b))
    step = (last - first) / 255
    assert abs(first - low) <= step / 2 + 1e-9
    assert abs(last - high) <= step / 2 + (1.0 if low == high else 1e-9) * 255
    assert first / step == pytest.approx(round(first / step), abs=1e-6)


def plan() -> IntegerPlan:
    return make_quantizer(small_graph(), batches()).plan(["0"])


def test_a_plan_leaves_out_what_lies_within_a_silu() -> None:
    quantizer = make_quantizer(small_graph(), batches())
    made = quantizer.plan(["0"])
    assert set(made.ranges) == {"images", "silu"}
    assert made.ranges["silu"] == quantizer.ranges["silu"]
    assert list(made.convolutions) == ["conv"]
    assert quantizer.plan([]) == IntegerPlan({}, ())


def test_a_plan_is_read_as_it_was_written() -> None:
    assert IntegerPlan.from_text(plan().to_text()) == plan()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"ranges": 3, "convolutions": []}',
        '{"ranges": {"a": [1]}, "convolutions": []}',
    ],
)
def test_other_texts_are_no_plan(text: str) -> None:
    with pytest.raises(ValueError, match="no plan for integers"):
        IntegerPlan.from_text(text)


def counted(plan: IntegerPlan) -> openvino.Model:
    model = openvino.Core().read_model(small_graph().SerializeToString())
    count_in_integers(model, plan)
    return model


def test_integers_answer_nearly_as_floats_do() -> None:
    compiled = openvino.Core().compile_model(counted(plan()), "CPU")
    for batch in batches()[:3]:  # what goes far beyond the mean is cut
        (want,) = open_session(small_graph()).run(None, {"images": batch})
        got = compiled(batch)[0]
        assert 0 < np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)


def test_weights_are_counted_by_channel_as_far_as_sums_do_not_clip() -> None:
    held = [n for n in counted(plan()).get_ordered_ops() if n.get_type_name() == "Constant"]
    (weights,) = (node.data for node in held if node.get_element_type() == openvino.Type.i8)
    assert weights.shape == (4, 3, 3, 3)
    most = np.abs(weights.astype(int)).max(axis=(1, 2, 3))
    assert most.tolist() == [64] * 4
    assert 2 * 255 * most.max() < 2**15


@pytest.mark.parametrize(
    "wrong",
    [
        IntegerPlan({"nothing": (0.0, 1.0)}, ()),
        IntegerPlan({}, ("nothing",)),
        IntegerPlan({}, ("silu",)),
    ],
    ids=["tensor", "weights", "no convolution"],
)
def test_a_plan_of_another_model_is_refused(wrong: IntegerPlan) -> None:
    with pytest.raises(ValueError, match=r"there is no tensor 'nothing'|'silu' is not what"):
        counted(wrong)


def write(path: Path, **more: str) -> Path:
    write_model(small_graph(), path, "fp32+int8", {**metadata_of(SPEC, "fp32+int8", {}), **more})
    return path


def test_the_engine_runs_what_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", **{PLAN_KEY: plan().to_text()})
    batch = batches()[1]
    names = "onnxruntime", "openvino", "openvino-int8"
    answers = []
    for name in names:
        with closing(load_backend(path, name, device="cpu")) as backend:
            answers.append(backend.infer(batch)[0])
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-4, atol=1e-5)
    gap = np.linalg.norm(answers[2] - answers[0])
    assert 0 < gap < 0.05 * np.linalg.norm(answers[0])


@pytest.fixture
def compiled_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "detect-tl" / "openvino"


def answer(path: Path) -> np.ndarray:
    with closing(load_backend(path, "openvino-int8", threads=1)) as backend:
        return backend.infer(batches()[1])[0]


def test_what_was_compiled_is_kept_and_answers_the_same(
    compiled_folder: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.onnx", **{PLAN_KEY: plan().to_text()})
    first = answer(path)
    (kept,) = compiled_folder.iterdir()
    np.testing.assert_array_equal(answer(path), first)
    assert list(compiled_folder.iterdir()) == [kept]
    low, high = plan().ranges["silu"]
    other = replace(plan(), ranges={**plan().ranges, "silu": (low, high / 2)})
    write(path, **{PLAN_KEY: other.to_text()})  # another plan is another model
    assert not np.array_equal(answer(path), first)


def test_the_oldest_compiled_models_go(compiled_folder: Path, tmp_path: Path) -> None:
    compiled_folder.mkdir(parents=True)
    for age in range(30):
        old = compiled_folder / f"{age}.blob"
        old.touch()
        os.utime(old, (1e9 - age, 1e9 - age))
    answer(write(tmp_path / "m.onnx", **{PLAN_KEY: plan().to_text()}))
    kept = {path.stem for path in compiled_folder.iterdir()}
    assert {str(age) for age in range(16)} < kept
    assert len(kept) == 17


def test_where_nothing_can_be_kept_it_works_as_well(compiled_folder: Path, tmp_path: Path) -> None:
    compiled_folder.parent.mkdir(parents=True)
    compiled_folder.write_text("a file")
    assert answer(write(tmp_path / "m.onnx", **{PLAN_KEY: plan().to_text()})).any()


def test_what_the_engine_refuses(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not say how to run it in int8") as caught:
        load_backend(write(tmp_path / "plain.onnx"), "openvino-int8")
    assert "--precision fp32+int8" in (caught.value.hint or "")
    other = replace(plan(), convolutions=("other",))
    for text in (other.to_text(), "nonsense"):
        with pytest.raises(WeightsError, match="does not fit it"):
            load_backend(write(tmp_path / "other.onnx", **{PLAN_KEY: text}), "openvino-int8")


def test_an_ir_cannot_hold_both(tmp_path: Path, checkpoint: Path, pictures: list[Path]) -> None:
    options = {"images": pictures, "precision": "fp32+int8"}
    with pytest.raises(UsageError, match="either of floats or of integers"):
        export_model(checkpoint, tmp_path / "m.xml", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("nms", [False, True])
def test_a_network_passes_the_gates_both_ways(
    make_checkpoint: Maker, pictures: list[Path], tmp_path: Path, nms: bool
) -> None:
    options = {"images": pictures, "precision": "fp32+int8", "dynamic": True, "nms": nms}
    out = tmp_path / "m.onnx"
    result = export_model(make_checkpoint("yolov8n"), out, **options)
    assert result.parity.tolerance.score == pytest.approx(1e-3)  # as floats
    assert result.as_int8 is not None
    assert result.as_int8.problems == []
    assert result.quantized is not None
    graph = onnx.load(out)
    assert "QuantizeLinear" not in {node.op_type for node in graph.graph.node}
    held = {item.key: item.value for item in graph.metadata_props}
    whole = IntegerPlan.from_text(held[PLAN_KEY])
    assert len(whole.convolutions) >= 5  # how many depends on how the processor rounds
    with closing(load_backend(out, "openvino-int8")) as backend:
        assert backend.spec.names == NAMES
        assert backend.spec.end2end == nms


@pytest.mark.slow
def test_an_ir_in_int8_holds_small_weights(
    make_checkpoint: Maker, pictures: list[Path], tmp_path: Path
) -> None:
    result = export_model(
        make_checkpoint("yolov8n"), tmp_path / "m.xml", images=pictures, precision="int8"
    )
    # 12.6 MB as floats; how many layers stay so depends on how the processor rounds
    assert result.size_bytes < 0.6 * 12.6e6
    assert result.as_int8 is None
