"""Trying what might be exported, one candidate after the other, until the gates hold for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detect_tl.core.errors import GateError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.core.progress import Progress
from detect_tl.export.accuracy import AccuracyGate, AccuracyReport, Labelled, require_accuracy
from detect_tl.export.container import open_model, write_model
from detect_tl.export.gate_images import GateImage
from detect_tl.export.half import Precision
from detect_tl.export.metadata import metadata_of
from detect_tl.export.parity import ParityReport, Tolerance, measure_parity, require_parity
from detect_tl.export.quantize import calibration_batches, make_quantizer
from detect_tl.export.sensitivity import Quantized, quantized
from detect_tl.export.suppression import append_suppression, require_same_rows
from detect_tl.runtime.backends import Backend

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph that might be exported. quantized: how it was made, for int8."""

    graph: onnx.ModelProto
    quantized: Quantized | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate as a file, and what the gates measured on it."""

    candidate: Candidate
    path: Path
    parity: ParityReport
    accuracy: AccuracyReport | None

    @property
    def holds(self) -> bool:
        return not self.parity.problems and not (self.accuracy and self.accuracy.problems)


def candidates(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    precision: Precision,
    calibration: Sequence[Path],
    progress: Progress,
) -> Iterator[Candidate]:
    """What to try: the graph itself; for int8, graphs with more and more layers left in floats."""
    if precision != "int8":
        yield Candidate(graph)
        return
    batches = calibration_batches(calibration, spec)
    with progress.step("Calibrating"):
        quantizer = make_quantizer(graph, batches)
    for one in quantized(quantizer, spec, batches, progress):
        yield Candidate(one.graph, one)


@dataclass(slots=True)
class Gates:
    """What a candidate must pass; the gate of accuracy is made when it is first needed."""

    reference: Backend
    pictures: Sequence[GateImage]
    images: Sequence[Path]
    labelled: Labelled | None
    precision: Precision
    tolerance: Tolerance | None
    progress: Progress
    _accuracy: AccuracyGate | None = None

    def parity(self, backend: Backend) -> ParityReport:
        return measure_parity(
            self.reference,
            backend,
            self.pictures,
            self.precision,
            tolerance=self.tolerance,
            progress=self.progress,
        )

    def accuracy(self, backend: Backend) -> AccuracyReport | None:
        """None where nothing is known of the pictures; int8 must agree with the checkpoint then."""
        if self.labelled is None and self.precision != "int8":
            return None
        if self._accuracy is None:
            self._accuracy = AccuracyGate(
                self.reference,
                self.labelled,
                self.images,
                rect=backend.spec.dynamic,
                progress=self.progress,
            )
        return self._accuracy.measure(backend, self.precision)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where candidates become files. facts: more metadata. path: the file, in a scratch folder."""

    path: Path
    spec: ModelSpec
    precision: Precision
    facts: Mapping[str, str]

    def first_good(self, tried: Iterator[Candidate], gates: Gates) -> Trial:
        """The first candidate that passes; raise GateError, with the last one's numbers, else."""
        trial = None
        for candidate in tried:
            trial = self._try(candidate, gates)
            if trial.holds:
                return trial
        if trial is None:
            raise GateError(
                "no layer of this model bears int8: its answers change even where one alone does",
                hint="Nothing was written. Take --precision fp16 or fp32.",
            )
        require_parity(trial.parity)
        assert trial.accuracy is not None, "one of the two did not hold"
        require_accuracy(trial.accuracy)
        return trial

    def suppressed(self, trial: Trial, pictures: Sequence[GateImage]) -> Path:
        """The same model with suppression at its end; raise GateError if it shows other objects."""
        path = self.path.with_stem("suppressed")
        graph = append_suppression(trial.candidate.graph, self.spec)
        write_model(graph, path, self.precision, self.metadata(nms=True))
        with closing(open_model(trial.path)) as plain, closing(open_model(path)) as backend:
            require_same_rows(plain, backend, pictures)
        return path

    def _try(self, candidate: Candidate, gates: Gates) -> Trial:
        write_model(candidate.graph, self.path, self.precision, self.metadata(nms=False))
        with closing(open_model(self.path)) as backend:
            parity = gates.parity(backend)
            accuracy = None if parity.problems else gates.accuracy(backend)
        return Trial(candidate, self.path, parity, accuracy)

    def metadata(self, *, nms: bool) -> dict[str, str]:
        return metadata_of(self.spec, self.precision, self.facts, nms=nms)
