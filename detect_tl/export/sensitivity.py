"""Which layers do not bear integers: found by quantizing each one alone and looking at the answers.

A group of nodes costs what the scores and boxes move when it alone runs in integers. From all in
integers, the costliest go back to floats one after the other, until the answers are near enough.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detect_tl.core.model_spec import ModelSpec
from detect_tl.core.progress import Progress, Silent, track
from detect_tl.export.quantize import Quantizer, open_session
from detect_tl.runtime.integers import IntegerPlan

if TYPE_CHECKING:
    import onnx

Float = NDArray[np.float32]

NEAR_ENOUGH = 0.12
"""Error of the scores from which on accuracy is worth measuring, see `Quantized.error`."""

PROBES = 4
"""Pictures that a group is judged on."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A group that stays in floats, and the error that it alone would bring."""

    group: str
    error: float

    def as_json(self) -> dict[str, Any]:
        return {"group": self.group, "error": round(self.error, 4)}


@dataclass(frozen=True, slots=True)
class Quantized:
    """A graph in integers but for some groups.

    plan: the same for engines that begin with the float graph.
    kept: these groups, the costliest first. groups: how many there are.
    error: of the scores on calibration pictures: the length of the difference over the length of
    the float scores; 0 when they are the same. speedup: how many times as fast as in floats ONNX
    Runtime was on this machine, by the fastest of a few calls: an indication only.
    """

    graph: onnx.ModelProto
    plan: IntegerPlan
    kept: tuple[Cost, ...]
    groups: int
    error: float
    speedup: float

    def as_json(self) -> dict[str, Any]:
        return {
            "error": round(self.error, 4),
            "speedup": round(self.speedup, 2),
            "groups": self.groups,
            "in_float": [cost.as_json() for cost in self.kept],
        }


def quantized(
    quantizer: Quantizer,
    spec: ModelSpec,
    batches: Sequence[Float],
    progress: Progress | None = None,
) -> Iterator[Quantized]:
    """Yield graphs with fewer and fewer groups in integers, those that are near enough only.

    spec: of the float model. batches: as it takes them. None stays in floats at first, then 1, 2,
    4, … groups: take the next graph when accuracy has been measured and is too low. Ends when all
    groups would be in floats.
    """
    probe = _Probe(quantizer.graph, spec, batches[:PROBES])
    show = progress or Silent()
    costs = [
        Cost(group, probe.compare(quantizer.quantize([group]))[0])
        for group in track(show, list(quantizer.groups), "Looking for sensitive layers")
    ]
    costs.sort(key=lambda cost: -cost.error)
    kept = 0
    while kept < len(costs):
        groups = [cost.group for cost in costs[kept:]]
        graph = quantizer.quantize(groups)
        error, speedup = probe.compare(graph)
        if error <= NEAR_ENOUGH:
            plan = quantizer.plan(groups)
            yield Quantized(graph, plan, tuple(costs[:kept]), len(costs), error, speedup)
        kept = 2 * kept or 1


class _Probe:
    """How far graphs answer from a float one, on a few pictures."""

    def __init__(self, graph: onnx.ModelProto, spec: ModelSpec, batches: Sequence[Float]) -> None:
        self._spec, self._input, self._batches = spec, graph.graph.input[0].name, batches
        self._wanted, self._seconds = self._answers(graph)

    def compare(self, graph: onnx.ModelProto) -> tuple[float, float]:
        """The error of the scores, and how many times as fast they were there."""
        answers, seconds = self._answers(graph)
        pairs = zip(self._wanted, answers, strict=True)
        error = float(np.mean([_relative(got - want, want) for want, got in pairs]))
        return error, self._seconds / seconds

    def _answers(self, graph: onnx.ModelProto) -> tuple[list[Float], float]:
        """Scores for each batch, and the seconds of the fastest call."""
        session, name = open_session(graph), graph.graph.output[0].name
        answers, seconds = [], []
        for batch in self._batches:
            started = time.perf_counter()
            answers.append(self._scores(session.run([name], {self._input: batch})[0]))
            seconds.append(time.perf_counter() - started)
        return answers, min(seconds)

    def _scores(self, answer: Float) -> Float:
        if self._spec.end2end:  # rows are sorted by score
            return answer[:, :, 4]
        return answer[:, 4 : 4 + self._spec.class_count]


def _relative(gap: Float, whole: Float) -> float:
    return float(np.linalg.norm(gap)) / max(float(np.linalg.norm(whole)), 1e-6)
