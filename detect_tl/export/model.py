"""Checkpoint in, exported file out, through the gates of parity and accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.files import sha256_file
from detect_tl.core.model_spec import ModelSpec
from detect_tl.core.progress import Progress, Silent
from detect_tl.export.accuracy import AccuracyReport, Labelled
from detect_tl.export.container import check_name, check_two_ways, place
from detect_tl.export.gate_images import gate_images
from detect_tl.export.half import PRECISIONS, Precision
from detect_tl.export.parity import ParityReport, Tolerance
from detect_tl.export.sensitivity import Quantized
from detect_tl.export.trial import Gates, Workshop
from detect_tl.models.checkpoint import Checkpoint, load_checkpoint
from detect_tl.models.onnx_export import build_graph
from detect_tl.models.torch_backend import TorchBackend

if TYPE_CHECKING:
    import onnx

_UNMEASURED = "mAP was not measured, for want of pictures with labels"
_AGREEMENT = f"{_UNMEASURED}: agreement with the checkpoint's own detections stands in for it"
_SLOW = (
    "int8 was no faster than fp32 here; processors with instructions for it (VNNI) gain most by it"
)

_FIRST_INT8_OPSET = 13  # the first whose weights have a scale for every channel


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The file that was written, and what the gates measured on it.

    files: all that were written, `path` first. nms: whether suppression was put into the graph.
    accuracy: None where no labels were at hand, but for int8, or nothing was to be found.
    quantized: of int8, what stayed in floats. as_int8: of fp32+int8, what the gates measured where
    it runs in integers; parity and accuracy are those of its floats.
    metadata: what the file says of itself. bundle: folder that it was also put into.
    """

    path: Path
    files: tuple[Path, ...]
    size_bytes: int
    precision: Precision
    opset: int
    spec: ModelSpec
    parity: ParityReport
    accuracy: AccuracyReport | None
    quantized: Quantized | None
    nms: bool
    metadata: Mapping[str, str]
    as_int8: AccuracyReport | None = None
    bundle: Path | None = None

    @property
    def notes(self) -> list[str]:
        """What limits the meaning of gates that held."""
        notes = list(self.parity.notes)
        if self.accuracy is None:
            notes.append(_UNMEASURED)
        elif self.accuracy.basis == "checkpoint":
            notes.append(_AGREEMENT)
        if self.precision == "int8" and self.quantized and self.quantized.speedup < 1:
            notes.append(_SLOW)
        return notes

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "files": [str(path) for path in self.files],
            "size_bytes": self.size_bytes,
            "format": self.path.suffix.removeprefix("."),
            "precision": self.precision,
            "opset": self.opset,
            "task": self.spec.task,
            "names": list(self.spec.names),
            "imgsz": list(self.spec.imgsz),
            "batch": self.spec.batch,
            "dynamic": self.spec.dynamic,
            "end2end": self.spec.end2end,
            "nms": self.nms,
            "parity": self.parity.as_json(),
            "accuracy": self.accuracy.as_json() if self.accuracy else None,
            "quantized": self.quantized.as_json() if self.quantized else None,
            "as_int8": self.as_int8.as_json() if self.as_int8 else None,
            "notes": self.notes,
            "bundle": str(self.bundle) if self.bundle else None,
        }


def export_model(
    checkpoint: Path,
    out: Path,
    *,
    images: Sequence[Path],
    labelled: Labelled | None = None,
    calibration: Sequence[Path] = (),
    imgsz: int | tuple[int, int] | None = None,
    batch: int = 1,
    dynamic: bool = False,
    opset: int | None = None,
    precision: Precision = "fp32",
    nms: bool = False,
    tolerance: Tolerance | None = None,
    metadata: Mapping[str, str] | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Export a checkpoint, and let the file stand only if it answers as the checkpoint does.

    out: the kind of file is that of its name: .onnx, or .xml for OpenVINO, which puts a .bin beside
    it.
    images: pictures for the gates, best from the validation split; for parity, eight of different
    shapes are chosen from them. labelled: a split to measure mAP on; None measures agreement with
    the checkpoint instead. calibration: pictures for the ranges of int8; of `images` when empty.
    imgsz: side of the input, or (height, width), in pixels; what the checkpoint was trained with
    when None. dynamic: batch and size stay free.
    nms: put suppression at the end of the graph; the gates measure what comes before it, and it
    must then give the same detections.
    metadata: more to write into the file under `detect_tl.`, for example {"dataset_sha256": …}.
    trust: see `load_checkpoint`.

    Raises GateError when the answers differ beyond the tolerance, leaving nothing behind (a file
    that was at `out` before stays as it was); UsageError for a setting that cannot be;
    WeightsError for a file that is no checkpoint or is refused; MachineError without OpenVINO.
    """
    show = progress or Silent()
    _check_request(out, batch, precision, opset)
    pictures = gate_images(images)
    with show.step("Export", 2) as bar:
        source = load_checkpoint(checkpoint, trust=trust)
        reference = _reference(source, imgsz, trust=trust)
        spec = replace(reference.spec, batch=batch, dynamic=dynamic)
        _check_size(spec)
        bar.advance()
        graph = build_graph(source.model, spec, opset=opset, dynamic=dynamic)
        bar.advance()
    gates = Gates(reference, pictures, images, labelled, tolerance, show)
    facts = {"weights_sha256": sha256_file(checkpoint), **(metadata or {})}
    nms = nms and not spec.end2end  # such a model has suppressed already
    with TemporaryDirectory(prefix="detect-tl-") as folder:
        workshop = Workshop(Path(folder, f"model{out.suffix}"), spec, precision, facts)
        trials = workshop.trials(graph, gates, calibration or images)
        first, best = trials[0], trials[-1]
        files = place(workshop.suppressed(best, pictures) if nms else best.path, out)
    return ExportResult(
        path=out,
        files=files,
        size_bytes=sum(path.stat().st_size for path in files),
        precision=precision,
        opset=_opset(graph),
        spec=replace(spec, end2end=spec.end2end or nms),
        parity=first.parity,
        accuracy=first.accuracy,
        quantized=best.candidate.quantized,
        nms=nms,
        metadata=workshop.metadata(best.candidate, nms=nms),
        as_int8=best.accuracy if len(trials) > 1 else None,
    )


def _reference(
    source: Checkpoint, imgsz: int | tuple[int, int] | None, *, trust: bool
) -> TorchBackend:
    """The checkpoint itself, which the export must answer like."""
    side = imgsz or source.train_args.get("imgsz") or 640
    return TorchBackend(source.path, imgsz=side, device="cpu", trust=trust)


def _check_request(out: Path, batch: int, precision: str, opset: int | None) -> None:
    check_name(out)
    if batch < 1:
        raise UsageError(f"the batch is {batch}", hint="It must be 1 or more.")
    if precision not in PRECISIONS:
        raise UsageError(
            f"unknown precision {precision!r}", hint=did_you_mean(precision, PRECISIONS)
        )
    if precision == "int8" and opset is not None and opset < _FIRST_INT8_OPSET:
        raise UsageError(
            f"opset {opset} has no int8 weights by channel",
            hint=f"Choose {_FIRST_INT8_OPSET} or a later one.",
        )
    if precision == "fp32+int8":
        check_two_ways(out)


def _check_size(spec: ModelSpec) -> None:
    if any(side < spec.stride or side % spec.stride for side in spec.imgsz):
        height, width = spec.imgsz
        raise UsageError(
            f"the input size {height}x{width} does not fit the model",
            hint=f"Both sides must be multiples of its stride, {spec.stride}.",
        )


def _opset(graph: onnx.ModelProto) -> int:
    return max(int(item.version) for item in graph.opset_import if item.domain in ("", "ai.onnx"))
