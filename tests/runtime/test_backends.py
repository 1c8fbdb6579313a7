from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.runtime.backends import Backend, OnnxRuntimeBackend, load_backend
from detect_tl.runtime.detector import Detector
from tests.runtime.colour_model import NAMES, colour_model
from tests.runtime.conftest import picture


def batch_of(*colours: int, side: int = 64) -> np.ndarray:
    """Images filled with one channel each."""
    batch = np.zeros((len(colours), 3, side, side), np.float32)
    for index, colour in enumerate(colours):
        batch[index, colour] = 1
    return batch


def test_the_spec_comes_from_the_file(detect_model: Path) -> None:
    backend = load_backend(detect_model)
    assert isinstance(backend, OnnxRuntimeBackend)
    assert isinstance(backend, Backend)
    spec = backend.spec
    assert (spec.names, spec.task, spec.imgsz, spec.stride) == (NAMES, "detect", (64, 64), 8)
    assert (spec.batch, spec.dynamic, spec.end2end) == (1, False, False)
    backend.close()


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
@pytest.mark.parametrize("options", [{}, {"any_batch": True}, {"batch": 3}, {"half": True}])
def test_any_number_of_images_through_any_batch(
    tmp_path: Path, options: dict[str, object], batch: int
) -> None:
    backend = load_backend(colour_model(tmp_path / "m.onnx", **options))
    colours = [0, 2, 1, 2][:batch]
    (output,) = backend.infer(batch_of(*colours))
    assert output.shape == (batch, 7, 64)
    assert output.dtype == np.float32
    assert output[:, 4:].argmax(axis=1)[:, 0].tolist() == colours
    assert output[:, 4:].max() == 1


def test_a_free_batch_is_no_free_size(tmp_path: Path) -> None:
    backend = load_backend(colour_model(tmp_path / "m.onnx", any_batch=True))
    assert not backend.spec.dynamic
    (found,) = Detector(backend, conf=0.9)([picture(64, 32, (0, 0, 8, 8, "red"))])
    assert found.class_id.tolist() == [0]


def test_a_segmenter_answers_with_prototypes(segment_model: Path) -> None:
    backend = load_backend(segment_model, "onnxruntime", threads=1, device="cpu")
    assert backend.spec.task == "segment"
    boxes, prototypes = backend.infer(batch_of(0))
    assert boxes.shape == (1, 4 + 3 + 3, 64)
    assert prototypes.shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"names": ""}, "names neither its classes nor its task"),
        ({"task": ""}, "names neither its classes nor its task"),
        ({"task": "pose"}, "task is 'pose'"),
        ({"names": "{0: 'a', 2: 'b'}"}, "not numbered from 0"),
        ({"names": "{}"}, "not numbered from 0"),
        ({"names": "__import__('os').getcwd()"}, "cannot read 'names'"),
        ({"names": "{0: 'a'"}, "cannot read 'names'"),
        ({"names": "['a', 'b']"}, "7 values a box where 2 classes need 6"),
        ({"task": "segment"}, "has 2 output"),
        ({"stride": "-1"}, "stride=-1"),
    ],
)
def test_a_file_that_says_too_little_is_refused(
    tmp_path: Path, metadata: dict[str, str], told: str
) -> None:
    path = colour_model(tmp_path / "m.onnx", metadata=metadata)
    with pytest.raises(WeightsError, match=told) as caught:
        load_backend(path)
    assert caught.value.path == path
    assert caught.value.hint


def test_names_as_a_list_and_a_sparse_file_with_defaults(tmp_path: Path) -> None:
    meta = {"names": "['a', 'b', 'c']", "stride": "", "imgsz": "", "args": "", "end2end": ""}
    spec = load_backend(colour_model(tmp_path / "m.onnx", metadata=meta)).spec
    assert spec.names == ("a", "b", "c")
    assert spec.stride == 32
    assert not spec.end2end


def test_embedded_suppression_counts_as_end_to_end(tmp_path: Path) -> None:
    meta = {"args": "{'nms': True}", "end2end": "False"}
    path = colour_model(tmp_path / "m.onnx", end2end=True, metadata=meta)
    assert load_backend(path).spec.end2end


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_damaged_files(tmp_path: Path, detect_model: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(detect_model.read_bytes()[:300] if content is None else content)
    with pytest.raises(WeightsError, match="not an ONNX model"):
        load_backend(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such model file"):
        load_backend(tmp_path / "none.onnx")


def test_another_kind_of_model(tmp_path: Path, detect_model: Path) -> None:
    model = onnx.load(detect_model)
    model.graph.input[0].type.tensor_type.shape.dim.pop()
    del model.graph.node[:]
    model.graph.node.append(onnx.helper.make_node("Identity", ["images"], ["out"]))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("out", 1, [1, 3, 64]))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    with pytest.raises(WeightsError, match="a detector reads one"):
        load_backend(path)


def test_unknown_engines_kinds_and_devices(tmp_path: Path, detect_model: Path) -> None:
    with pytest.raises(UsageError, match="unknown backend 'onnx-runtime'") as caught:
        load_backend(detect_model, "onnx-runtime")
    assert "onnxruntime" in caught.value.hint
    with pytest.raises(UsageError, match=r"no engine runs \.pt files"):
        load_backend(tmp_path / "best.pt")
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        load_backend(detect_model, device="gpu")


@pytest.mark.parametrize(
    ("device", "provider", "told"),
    [
        ("cuda", "CUDAExecutionProvider", "no CUDA support"),
        ("tensorrt", "TensorrtExecutionProvider", "no Tensorrt support"),
        ("coreml", "CoreMLExecutionProvider", "no CoreML support"),
        ("directml", "DmlExecutionProvider", "no Dml support"),
    ],
)
def test_a_device_that_is_not_there(
    detect_model: Path, device: str, provider: str, told: str
) -> None:
    import onnxruntime

    if provider in onnxruntime.get_available_providers():
        load_backend(detect_model, "onnxruntime", device=device).close()
        return
    with pytest.raises(MachineError, match=told) as caught:
        load_backend(detect_model, device=device)
    assert "onnxruntime" in caught.value.hint


def test_nothing_is_kept_to_be_reported(detect_model: Path, tmp_path: Path) -> None:
    """ONNX Runtime keeps what it reports of its use in a data base in the user's cache."""
    code = (
        "import sys; from pathlib import Path\n"
        "from detect_tl.runtime.backends import load_backend\n"
        "load_backend(Path(sys.argv[1])).close()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code, str(detect_model)]
    subprocess.run(command, check=True, timeout=120, env=environment)
    assert list(tmp_path.rglob("*")) == []
