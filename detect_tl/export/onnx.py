"""Checkpoint in, ONNX file out, through the parity gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.files import atomic_path, sha256_file
from detect_tl.core.model_spec import ModelSpec
from detect_tl.core.progress import Progress, Silent
from detect_tl.export.gate_images import gate_images
from detect_tl.export.half import PRECISIONS, Precision, to_half
from detect_tl.export.metadata import metadata_of, stamp
from detect_tl.export.parity import ParityReport, Tolerance, measure_parity, require_parity
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.models.onnx_export import build_graph
from detect_tl.models.torch_backend import TorchBackend
from detect_tl.runtime.backends import load_backend

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The file that was written, and what the gate measured on it."""

    path: Path
    size_bytes: int
    precision: Precision
    opset: int
    spec: ModelSpec
    parity: ParityReport

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "size_bytes": self.size_bytes,
            "precision": self.precision,
            "opset": self.opset,
            "task": self.spec.task,
            "names": list(self.spec.names),
            "imgsz": list(self.spec.imgsz),
            "batch": self.spec.batch,
            "dynamic": self.spec.dynamic,
            "end2end": self.spec.end2end,
            "parity": self.parity.as_json(),
        }


def export_onnx(
    checkpoint: Path,
    out: Path,
    *,
    images: Sequence[Path],
    imgsz: int | tuple[int, int] | None = None,
    batch: int = 1,
    dynamic: bool = False,
    opset: int | None = None,
    precision: Precision = "fp32",
    tolerance: Tolerance | None = None,
    metadata: Mapping[str, str] | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Export a checkpoint, and let the file stand only if it answers as the checkpoint does.

    images: pictures for the gate, best from the validation split; eight of different shapes are
    chosen from them.
    imgsz: side of the input, or (height, width), in pixels; what the checkpoint was trained with
    when None. dynamic: batch and size stay free.
    metadata: more to write into the file under `detect_tl.`, for example {"dataset_sha256": …}.
    trust: see `load_checkpoint`.

    Raises GateError when the answers differ beyond the tolerance, leaving nothing behind (a file
    that was at `out` before stays as it was); UsageError for a setting that cannot be;
    WeightsError for a file that is no checkpoint or is refused.
    """
    show = progress or Silent()
    _check_request(out, batch, precision)
    pictures = gate_images(images)
    with show.step("Export", 3) as bar:
        source = load_checkpoint(checkpoint, trust=trust)
        side = imgsz or source.train_args.get("imgsz") or 640
        reference = TorchBackend(checkpoint, imgsz=side, device="cpu", trust=trust)
        spec = replace(reference.spec, batch=batch, dynamic=dynamic)
        _check_size(spec)
        bar.advance()
        graph = build_graph(source.model, spec, opset=opset, dynamic=dynamic)
        bar.advance()
        if precision == "fp16":
            graph = to_half(graph)
        more = {"weights_sha256": sha256_file(checkpoint), **(metadata or {})}
        stamp(graph, metadata_of(spec, precision, more))
        bar.advance()
    with atomic_path(out) as scratch:
        scratch.write_bytes(graph.SerializeToString(deterministic=True))
        with closing(load_backend(scratch, "onnxruntime", device="cpu")) as exported:
            parity = measure_parity(
                reference, exported, pictures, precision, tolerance=tolerance, progress=show
            )
        require_parity(parity)
        size = scratch.stat().st_size
    return ExportResult(out, size, precision, _opset(graph), spec, parity)


def _check_request(out: Path, batch: int, precision: str) -> None:
    if out.suffix != ".onnx":
        raise UsageError(f"{out} is no name for an ONNX file", hint="End it in .onnx.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder", hint="Name a file that ends in .onnx.")
    if batch < 1:
        raise UsageError(f"the batch is {batch}", hint="It must be 1 or more.")
    if precision not in PRECISIONS:
        raise UsageError(
            f"unknown precision {precision!r}", hint=did_you_mean(precision, PRECISIONS)
        )


def _check_size(spec: ModelSpec) -> None:
    if any(side < spec.stride or side % spec.stride for side in spec.imgsz):
        height, width = spec.imgsz
        raise UsageError(
            f"the input size {height}x{width} does not fit the model",
            hint=f"Both sides must be multiples of its stride, {spec.stride}.",
        )


def _opset(graph: onnx.ModelProto) -> int:
    return max(int(item.version) for item in graph.opset_import if item.domain in ("", "ai.onnx"))
