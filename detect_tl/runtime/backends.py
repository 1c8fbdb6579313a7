"""Engines that run a model. Each is found by its name through the plugin door."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detect_tl import plugins
from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.runtime.onnx_spec import GraphIO, spec_from_onnx
from detect_tl.runtime.processor import has_vnni

_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "coreml": "onnxruntime for macOS",
    "directml": "onnxruntime-directml",
}
_BY_ITSELF = "cuda", "directml", "coreml"  # TensorRT first builds an engine, for minutes
DEVICES = ("auto", "cpu", *_PROVIDERS)


@runtime_checkable
class Backend(Protocol):
    """One loaded model. `infer` may be called from several threads at once.

    An engine is made as `load_backend` says: engine(path, threads=…, calls=…, device=…); its
    `suffixes` are the kinds of file that it reads.
    """

    @property
    def spec(self) -> ModelSpec: ...

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a (batch, 3, height, width) RGB batch in [0, 1]; outputs as `ModelSpec` has them."""
        ...

    def close(self) -> None:
        """Free the engine; the backend cannot be used afterwards."""
        ...


def load_backend(
    path: Path,
    name: str = "auto",
    *,
    threads: int | None = None,
    calls: int = 1,
    device: str = "auto",
) -> Backend:
    """Load a model with the named engine, or with the first one that reads its kind of file.

    threads: cores that one call of `infer` may use; all of them when None. calls: how many calls
    there will be at the same time.
    Raises UsageError for an unknown engine or kind of file, WeightsError for a file that is
    missing, damaged or no detector, and MachineError when the engine or the device is not there.
    """
    chosen = readers(path)[0] if name == "auto" else name
    engine = plugins.load("detect_tl.backends", chosen)
    made: Backend = engine(path, threads=threads, calls=calls, device=device)
    return made


def readers(path: Path) -> list[str]:
    """Names of the engines that read this kind of file; raise UsageError when there is none."""
    suffix = path.suffix.lower()
    known = plugins.names("detect_tl.backends")
    found = [n for n in known if suffix in plugins.load("detect_tl.backends", n).suffixes]
    if not found:
        raise UsageError(
            f"no engine runs {suffix or 'extensionless'} files",
            path=path,
            hint="Export the model first: detect-tl export MODEL --format onnx",
        )
    return found


def engine_device(device: str) -> str:
    """A device as the engines call it ("auto", "cpu", "cuda" and others); torch counts CUDA's."""
    if device.isdigit() or device.startswith("cuda"):
        return "cuda"
    return device or "auto"


class OnnxRuntimeBackend:
    """ONNX Runtime, on the CPU or a CUDA device.

    The thread pool does not spin between calls: a spinning pool takes the cores from everything
    else in the process, torch above all.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)

    def __init__(
        self, path: Path, *, threads: int | None = None, calls: int = 1, device: str = "auto"
    ) -> None:
        del calls  # a session takes any number of them
        self._session = _open_session(path, threads or os.cpu_count() or 1, device)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        graph = GraphIO(
            inputs=tuple(tuple(i.shape) for i in inputs),
            outputs=tuple(tuple(o.shape) for o in outputs),
            metadata=dict(self._session.get_modelmeta().custom_metadata_map),
        )
        self.spec = spec_from_onnx(graph, path)
        self._input = inputs[0].name
        self._dtype = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
        batch = inputs[0].shape[0]
        self._batch: int | None = batch if isinstance(batch, int) else None

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a (batch, 3, height, width) RGB batch in [0, 1]."""
        return in_batches(batch.astype(self._dtype, copy=False), self._batch, self._run)

    def close(self) -> None:
        del self._session

    def _run(self, part: NDArray[Any]) -> Sequence[NDArray[Any]]:
        outputs: Sequence[NDArray[Any]] = self._session.run(None, {self._input: part})
        return outputs


def in_batches(
    feed: NDArray[Any],
    size: int | None,
    run: Callable[[NDArray[Any]], Sequence[NDArray[Any]]],
) -> list[NDArray[np.float32]]:
    """Run a batch through an engine; one of a fixed size, as often as needed, the last filled up.

    size: images that the engine takes in one call; None: any number.
    """
    step = size or max(len(feed), 1)
    parts = []
    for start in range(0, len(feed), step):
        part = feed[start : start + step]
        count = len(part)
        if count < step:
            filler = np.zeros((step - count, *part.shape[1:]), part.dtype)
            part = np.concatenate((part, filler))
        parts.append([output[:count].astype(np.float32, copy=False) for output in run(part)])
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def exact_integers() -> str:
    """The value of `session.x64quantprecision` with which int8 is exact, and as fast as it can be.

    "1" forbids instructions that clip sums of products of 8 bits. With VNNI none does, and what
    would be forbidden is VNNI itself: yolo11n in int8 then takes twice the time.
    """
    return "0" if has_vnni() else "1"


def _open_session(path: Path, threads: int, device: str) -> Any:
    import onnxruntime

    if not path.is_file():
        raise WeightsError("there is no such model file", path=path, hint="Check the path.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.x64quantprecision", exact_integers())
    options.log_severity_level = 3  # errors only: its warnings are about graphs, not for users
    providers = _providers(onnxruntime.get_available_providers(), device)
    try:
        # From a path, so that weights stored beside a large model are found as well.
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its errors share no other base class
        reason = str(error).strip().splitlines()
        raise WeightsError(
            f"not an ONNX model that ONNX Runtime can load: {reason[0] if reason else error!r}",
            path=path,
            hint="The file is damaged or was cut off; export it again.",
        ) from error


def _providers(available: Sequence[str], device: str) -> list[str]:
    """What ONNX Runtime is to run on, the CPU last, for what the rest cannot do."""
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}", hint=f"Known: {', '.join(DEVICES)}")
    if device == "auto":
        wanted = [_PROVIDERS[kind] for kind in _BY_ITSELF if _PROVIDERS[kind] in available]
    elif device == "cpu":
        wanted = []
    elif _PROVIDERS[device] in available:
        wanted = [_PROVIDERS[device]]
    else:
        raise MachineError(
            f"this ONNX Runtime has no {_PROVIDERS[device].removesuffix('ExecutionProvider')} "
            "support",
            hint=f"Install {_PACKAGES[device]} in place of onnxruntime, or use --device cpu.",
        )
    return [*wanted[:1], "CPUExecutionProvider"]
