"""OpenVINO: runs ONNX files, and its own IR files, on Intel and AMD processors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.errors import MachineError, UsageError, WeightsError
from detect_tl.runtime.backends import in_batches
from detect_tl.runtime.integers import PLAN_KEY, IntegerPlan, count_in_integers
from detect_tl.runtime.onnx_spec import Dim, GraphIO, spec_from_onnx
from detect_tl.runtime.processor import has_vnni

_METADATA = "detect_tl", "framework"
"""Where a graph keeps its metadata: what our export wrote into an IR file, and what OpenVINO itself
takes over from an ONNX file."""


class OpenVinoBackend:
    """OpenVINO on the CPU, in 32 bits.

    A model is compiled once; requests, one for each call at the same time, are made beforehand.
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
        core = self._core()
        model = _read(core, path)
        graph = _graph(model)
        self.spec = spec_from_onnx(graph, path)
        self._prepare(model, graph.metadata, path)
        threads = threads or os.cpu_count() or 1
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": threads * calls,
            "NUM_STREAMS": calls,
        }
        compiled = core.compile_model(model, "CPU", settings)
        self._dtype = compiled.input(0).element_type.to_dtype()
        first = model.input(0).partial_shape[0]
        self._batch = first.get_length() if first.is_static else None
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(calls):
            self._requests.put(compiled.create_infer_request())

    def infer(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a (batch, 3, height, width) RGB batch in [0, 1]; see `Backend.infer`."""
        return in_batches(batch.astype(self._dtype, copy=False), self._batch, self._run)

    def close(self) -> None:
        del self._requests

    def _run(self, part: NDArray[Any]) -> list[NDArray[Any]]:
        request = self._requests.get()
        try:
            answers = request.infer({0: np.ascontiguousarray(part)}, share_inputs=True)
            return [np.asarray(value) for value in answers.to_tuple()]
        finally:
            self._requests.put(request)

    def _prepare(self, model: Any, metadata: Mapping[str, str], path: Path) -> None:
        """Change a model before it is compiled."""

    @classmethod
    def _core(cls) -> Any:
        return _shared_core()


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

    Raises MachineError on processors without VNNI, where integers are slower or clipped, and
    WeightsError for a file that was not exported for it.
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

    @classmethod
    def _core(cls) -> Any:
        if not has_vnni():
            raise MachineError(
                "this processor has no instructions for int8 (VNNI)",
                hint="Choose --backend openvino, which works in 32 bits.",
            )
        return super()._core()


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
