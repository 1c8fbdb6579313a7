"""OpenVINO answers as ONNX Runtime does, to the same files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import pytest

from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.runtime.backends import Backend, load_backend, readers
from detect_tl.runtime.openvino import OpenVinoBackend
from tests.runtime.colour_model import NAMES, colour_model

KINDS = [
    {},
    {"any_batch": True},
    {"batch": 3},
    {"half": True},
    {"end2end": True},
    {"task": "segment"},
    {"task": "segment", "end2end": True},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("batch", [1, 4])
def test_it_answers_as_onnx_runtime_does(
    tmp_path: Path, kind: dict[str, object], batch: int
) -> None:
    path = colour_model(tmp_path / "m.onnx", **kind)
    images = np.random.default_rng(batch).random((batch, 3, 64, 64), np.float32)
    first, second = (load_backend(path, name) for name in ("onnxruntime", "openvino"))
    assert isinstance(second, Backend)
    assert first.spec == second.spec
    for ours, theirs in zip(second.infer(images), first.infer(images), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3 if "half" in kind else 1e-5)
    second.close()


def test_its_own_files_say_the_same(tmp_path: Path) -> None:
    path = colour_model(tmp_path / "m.onnx")
    openvino.save_model(openvino.Core().read_model(str(path)), str(tmp_path / "m.xml"))
    assert "onnxruntime" not in readers(tmp_path / "m.xml")
    backend = load_backend(tmp_path / "m.xml")
    assert isinstance(backend, OpenVinoBackend)
    assert backend.spec == load_backend(path).spec
    assert backend.spec.names == NAMES


def test_answers_of_many_threads_are_not_mixed_up(detect_model: Path) -> None:
    backend = load_backend(detect_model, "openvino", threads=1, calls=2)

    def colour(which: int) -> int:
        batch = np.zeros((1, 3, 64, 64), np.float32)
        batch[0, which] = 1
        (output,) = backend.infer(batch)
        return int(output[0, 4:, 0].argmax())

    wanted = [number % 3 for number in range(200)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(colour, wanted)) == wanted


@pytest.mark.parametrize("calls", [1, 2])
def test_a_shape_that_comes_often_is_compiled_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: int
) -> None:
    """Free sizes cost time; the answers are the same to the bit, also while it changes."""
    shapes = []
    plain = OpenVinoBackend._compile

    def told(
        self: OpenVinoBackend, core: object, model: openvino.Model, settings: object
    ) -> object:
        shape = model.input(0).partial_shape
        shapes.append(None if shape.is_dynamic else tuple(shape.to_shape()))
        return plain(self, core, model, settings)

    monkeypatch.setattr(OpenVinoBackend, "_compile", told)
    monkeypatch.setattr("detect_tl.runtime.openvino._OFTEN", 10)
    path = colour_model(tmp_path / "m.onnx", any_batch=True)
    backend = load_backend(path, "openvino", threads=1, calls=calls)
    batches = [np.random.default_rng(n).random((n, 3, 64, 64), np.float32) for n in (1, 2)]
    first = [backend.infer(batch)[0] for batch in batches * 20][:2]
    assert shapes == [None]  # they took turns
    for batch, want in zip(batches, first, strict=True):
        with ThreadPoolExecutor(calls) as pool:
            for (got,) in pool.map(backend.infer, [batch] * 30):
                np.testing.assert_array_equal(got, want)
    assert shapes == [None, (1, 3, 64, 64), (2, 3, 64, 64)]
    backend.close()


def test_fixed_sizes_are_compiled_once(monkeypatch: pytest.MonkeyPatch, detect_model: Path) -> None:
    monkeypatch.setattr("detect_tl.runtime.openvino._OFTEN", 2)
    backend = load_backend(detect_model, "openvino")
    monkeypatch.setattr(OpenVinoBackend, "_compile", lambda *_: pytest.fail("compiled again"))
    for _ in range(5):
        backend.infer(np.ones((1, 3, 64, 64), np.float32))


def test_an_answer_stays_as_it_was(detect_model: Path) -> None:
    backend = load_backend(detect_model, "openvino")
    (first,) = backend.infer(np.ones((1, 3, 64, 64), np.float32))
    before = first.copy()
    backend.infer(np.zeros((1, 3, 64, 64), np.float32))
    np.testing.assert_array_equal(first, before)


def test_files_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such model file"):
        load_backend(tmp_path / "none.onnx", "openvino")
    damaged = tmp_path / "m.onnx"
    damaged.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="not a model that OpenVINO can load") as caught:
        load_backend(damaged, "openvino")
    assert caught.value.path == damaged


def test_devices_and_processors(detect_model: Path) -> None:
    with pytest.raises(UsageError, match="runs on the CPU"):
        load_backend(detect_model, "openvino", device="cuda")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        backend = load_backend(detect_model, "openvino-bf16")
        assert backend.infer(np.ones((1, 3, 64, 64), np.float32))[0].max() == pytest.approx(
            60, abs=1
        )
    else:
        with pytest.raises(MachineError, match="no instructions for bfloat16"):
            load_backend(detect_model, "openvino-bf16")
