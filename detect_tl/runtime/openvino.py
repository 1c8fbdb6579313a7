"""OpenVINO: runs ONNX files, and its own IR files, on Intel and AMD processors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.runtime.backends import in_batches
from detect_tl.runtime.integers import PLAN_KEY, IntegerPlan, count_in_integers
from detect_tl.runtime.onnx_spec import Dim, GraphIO, spec_from_onnx

_METADATA = "detect_tl", "framework"
"""Where a graph keeps its metadata: what our export wrote into an IR file, and what OpenVINO itself
takes over from an ONNX file."""

_OFTEN = 100
"""Calls in a row of one shape after which a model of free sizes is compiled for that shape too:
a tenth faster, with the same answers to the bit."""

_MOST_COMPILED = 16
"""Models that are kept compiled, by settings; one of yolo11n has 4 MB."""


class OpenVinoBackend:
    """OpenVINO on the CPU, in 32 bits.

    A model is compiled at once, and again for a shape that comes often where its sizes are free.
    Raises MachineError where OpenVINO is not installed.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".onnx", ".xml")
    precision: ClassVar[str] = "f32"

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        calls: int = 1,
        device: str = "auto",
    ) -> None:
        if device not in ("auto", "cpu"):
            raise UsageError(
                f"OpenVINO runs on the CPU here, not on {device!r}",
                hint="Leave --device out, or choose --backend onnxruntime.",
            )
        self._openvino = self._core()
        self._model = _read(self._openvino, path)
        graph = _graph(self._model)
        self.spec = spec_from_onnx(graph, path)
        self._prepare(self._model, graph.metadata, path)
        threads = threads or os.cpu_count() or 1
        self._calls = calls
        self._settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": threads * calls,
            "NUM_STREAMS": calls,
        }
        shape = self._model.input(0).partial_shape
        self._dtype = self._model.input(0).element_type.to_dtype()
        self._batch = shape[0].get_length() if shape[0].is_static else None
        self._requests = self._compiled(self._model)
        self._fixed: tuple[tuple[int, ...], SimpleQueue[Any]] | None = None
        self._series = Series(_OFTEN) if shape.is_dynamic else None

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a (batch, 3, height, width) RGB batch in [0, 1]; see `Backend.infer`."""
        return in_batches(batch.astype(self._dtype, copy=False), self._batch, self._run)

    def close(self) -> None:
        del self._requests, self._fixed, self._model

    def _run(self, part: NDArray[Any]) -> list[NDArray[Any]]:
        requests = self._requests_for(part.shape)
        request = requests.get()
        try:
            answers = request.infer({0: np.ascontiguousarray(part)}, share_inputs=True)
            return [np.asarray(value) for value in answers.to_tuple()]
        finally:
            requests.put(request)

    def _requests_for(self, shape: tuple[int, ...]) -> SimpleQueue[Any]:
        """Requests of the model compiled for this shape, or for any."""
        if self._series is None:
            return self._requests
        if self._series.is_long(shape):  # the others go on meanwhile
            model = self._model.clone()
            model.reshape(shape)
            self._fixed = shape, self._compiled(model)
        fixed = self._fixed
        return self._requests if fixed is None or fixed[0] != shape else fixed[1]

    def _compiled(self, model: Any) -> SimpleQueue[Any]:
        """Compile a model; return a request for each call at the same time."""
        compiled = self._compile(self._openvino, model, self._settings)
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._calls):
            requests.put(compiled.create_infer_request())
        return requests

    def _prepare(self, model: Any, metadata: Mapping[str, str], path: Path) -> None:
        """Change a model before it is compiled."""

    def _compile(self, core: Any, model: Any, settings: Mapping[str, Any]) -> Any:
        return core.compile_model(model, "CPU", settings)

    @classmethod
    def _core(cls) -> Any:
        return _shared_core()


class Series:
    """Counts how often the same thing comes in a row, in any thread."""

    def __init__(self, often: int) -> None:
        self._often, self._last, self._times = often, None, 0
        self._lock = Lock()

    def is_long(self, thing: Any) -> bool:
        """Whether it has now come so often, told once in a row."""
        with self._lock:
            self._times = self._times + 1 if thing == self._last else 1
            self._last = thing
            return self._times == self._often


@cache
def _shared_core() -> Any:
    """One core for the process, and for all of its time: with the last one OpenVINO would unload
    libraries whose threads still run, and the process would crash some time later."""
    try:
        import openvino
    except ImportError as error:
        raise MachineError(
            "OpenVINO is not installed",
            hint="Install it: pip install 'detect-tl[openvino]', or leave --backend out.",
        ) from error
    return openvino.Core()


class OpenVinoHalfBackend(OpenVinoBackend):
    """OpenVINO in bfloat16: about twice as fast where the processor has the instructions.

    Raises MachineError where it has none: there bfloat16 would only be slower.
    """

    precision: ClassVar[str] = "bf16"

    @classmethod
    def _core(cls) -> Any:
        core = super()._core()
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise MachineError(
                "this processor has no instructions for bfloat16",
                hint="Choose --backend openvino, which works in 32 bits.",
            )
        return core


class OpenVinoInt8Backend(OpenVinoBackend):
    """OpenVINO in integers of 8 bits, of a float file that says how far its tensors reach.

    Raises WeightsError for a file that was not exported for it.
    """

    suffixes = (".onnx",)

    def _prepare(self, model: Any, metadata: Mapping[str, str], path: Path) -> None:
        plan = metadata.get(PLAN_KEY)
        if plan is None:
            raise WeightsError(
                "the file does not say how to run it in int8",
                path=path,
                hint="Export the model with --precision fp32+int8.",
            )
        try:
            count_in_integers(model, IntegerPlan.from_text(plan))
        except ValueError as error:
            raise WeightsError(
                f"what the file says about int8 does not fit it: {error}",
                path=path,
                hint="Export the model again.",
            ) from error

    def _compile(self, core: Any, model: Any, settings: Mapping[str, Any]) -> Any:
        """To make integers of a model takes most of a second: OpenVINO keeps what came of it."""
        kept = _folder_of_compiled()
        if kept is None:
            return super()._compile(core, model, settings)
        try:
            return super()._compile(core, model, {**settings, "CACHE_DIR": str(kept)})
        except RuntimeError:  # the only kind that it raises; the disk may be full
            return super()._compile(core, model, settings)


def _folder_of_compiled() -> Path | None:
    """Where the newest compiled models are; None where nothing can be written."""
    folder = user_cache_path("detect-tl", appauthor=False) / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ages = {path: path.stat().st_mtime for path in folder.glob("*.blob")}
        for path in sorted(ages, key=ages.__getitem__)[:-_MOST_COMPILED]:
            path.unlink()
    except OSError:  # another process may have been faster
        return None
    return folder if os.access(folder, os.W_OK) else None


def _read(core: Any, path: Path) -> Any:
    if not path.is_file():
        raise WeightsError("there is no such model file", path=path, hint="Check the path.")
    try:
        return core.read_model(str(path))
    except RuntimeError as error:  # the only kind that it raises
        reason = [line for line in str(error).splitlines() if line.strip()]
        raise WeightsError(
            f"not a model that OpenVINO can load: {reason[-1].strip() if reason else error!r}",
            path=path,
            hint="The file is damaged or was cut off; export it again.",
        ) from error


def _graph(model: Any) -> GraphIO:
    return GraphIO(
        inputs=tuple(_shape(each) for each in model.inputs),
        outputs=tuple(_shape(each) for each in model.outputs),
        metadata=_metadata(model),
    )


def _shape(port: Any) -> tuple[Dim, ...]:
    return tuple(dim.get_length() if dim.is_static else None for dim in port.partial_shape)


def _metadata(model: Any) -> dict[str, str]:
    known = model.get_rt_info()
    found: dict[str, Any] = next((known[name] for name in _METADATA if name in known), {})
    return {key: str(value.value) for key, value in found.items()}
