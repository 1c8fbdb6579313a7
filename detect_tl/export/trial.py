"""Trying what might be exported, one candidate after the other, until the gates hold for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from detect_tl.core.errors import GateError
from detect_tl.core.model_spec import ModelSpec
from detect_tl.core.progress import Progress
from detect_tl.export.accuracy import AccuracyGate, AccuracyReport, Labelled, require_accuracy
from detect_tl.export.container import open_model, write_model
from detect_tl.export.gate_images import GateImage
from detect_tl.export.half import OF_INTEGERS, Precision
from detect_tl.export.metadata import metadata_of
from detect_tl.export.parity import ParityReport, Tolerance, measure_parity, require_parity
from detect_tl.export.quantize import calibration_batches, make_quantizer
from detect_tl.export.sensitivity import Quantized, quantized
from detect_tl.export.suppression import append_suppression, require_same_rows
from detect_tl.runtime.backends import Backend
from detect_tl.runtime.integers import PLAN_KEY, IntegerPlan

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph that might be exported.

    quantized: of int8, what is in integers. plan: where integers go, if the graph is of floats.
    """

    graph: onnx.ModelProto
    quantized: Quantized | None = None
    plan: IntegerPlan | None = None


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


def in_integers(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    calibration: Sequence[Path],
    progress: Progress,
    *,
    planned: bool,
) -> Iterator[Candidate]:
    """What to try for int8: more and more layers left in floats.

    planned: whether the file is to hold the float graph and a plan.
    """
    batches = calibration_batches(calibration, spec)
    with progress.step("Calibrating"):
        quantizer = make_quantizer(graph, batches)
    for one in quantized(quantizer, spec, batches, progress):
        yield Candidate(graph, one, one.plan) if planned else Candidate(one.graph, one)


@dataclass(slots=True)
class Gates:
    """What a candidate must pass; the gate of accuracy is made when it is first needed."""

    reference: Backend
    pictures: Sequence[GateImage]
    images: Sequence[Path]
    labelled: Labelled | None
    tolerance: Tolerance | None
    progress: Progress
    _accuracy: AccuracyGate | None = None

    def parity(self, backend: Backend, precision: Precision) -> ParityReport:
        return measure_parity(
            self.reference,
            backend,
            self.pictures,
            precision,
            tolerance=self.tolerance,
            progress=self.progress,
        )

    def accuracy(self, backend: Backend, precision: Precision) -> AccuracyReport | None:
        """None where nothing is known of the pictures; int8 must agree with the checkpoint then."""
        if self.labelled is None and precision not in OF_INTEGERS:
            return None
        if self._accuracy is None:
            self._accuracy = AccuracyGate(
                self.reference,
                self.labelled,
                self.images,
                rect=backend.spec.dynamic,
                progress=self.progress,
            )
        return self._accuracy.measure(backend, precision)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where candidates become files. facts: more metadata. path: the file, in a scratch folder."""

    path: Path
    spec: ModelSpec
    precision: Precision
    facts: Mapping[str, str]

    def trials(
        self,
        graph: onnx.ModelProto,
        gates: Gates,
        calibration: Sequence[Path],
    ) -> list[Trial]:
        """What passed for a float graph: as floats, in integers, or both in this order.

        The last one is left at `path`. calibration: pictures for the ranges of integers.
        Raises GateError where nothing passes.
        """
        passed = []
        if self.precision != "int8":
            floats = replace(self, precision="fp32") if self._both else self
            passed.append(floats.first_good([Candidate(graph)], gates))
        if self.precision in OF_INTEGERS:
            planned = self._both or self.path.suffix == ".xml"
            tried = in_integers(graph, self.spec, calibration, gates.progress, planned=planned)
            passed.append(self.first_good(tried, gates))
        return passed

    @property
    def _both(self) -> bool:
        return self.precision == "fp32+int8"

    def first_good(self, tried: Iterable[Candidate], gates: Gates) -> Trial:
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
        self._write(replace(trial.candidate, graph=graph), path, nms=True)
        with closing(self._open(trial.path)) as plain, closing(self._open(path)) as backend:
            require_same_rows(plain, backend, pictures)
        return path

    def _try(self, candidate: Candidate, gates: Gates) -> Trial:
        self._write(candidate, self.path, nms=False)
        with closing(self._open(self.path)) as backend:
            parity = gates.parity(backend, self.precision)
            accuracy = None if parity.problems else gates.accuracy(backend, self.precision)
        return Trial(candidate, self.path, parity, accuracy)

    def _write(self, candidate: Candidate, path: Path, *, nms: bool) -> None:
        metadata = self.metadata(candidate, nms=nms)
        write_model(candidate.graph, path, self.precision, metadata, candidate.plan)

    def _open(self, path: Path) -> Backend:
        return open_model(path, self.precision)

    def metadata(self, candidate: Candidate, *, nms: bool) -> dict[str, str]:
        held = metadata_of(self.spec, self.precision, self.facts, nms=nms)
        if self._both and candidate.plan is not None:
            held[PLAN_KEY] = candidate.plan.to_text()
        return held
