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
