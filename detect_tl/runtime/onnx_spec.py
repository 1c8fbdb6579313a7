"""What an ONNX file says of itself, read into a `ModelSpec`.

The keys are Ultralytics' own (names, task, imgsz, stride, batch, end2end, args), which our export
writes as well; values are Python literals as text.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_tl.core.errors import WeightsError
from detect_tl.core.model_spec import TASKS, ModelSpec, Task

Dim = int | str | None
"""A fixed length, or the name (None without one) of a free one."""


@dataclass(frozen=True, slots=True)
class GraphIO:
    """Shapes of a graph's inputs and outputs, and its metadata."""

    inputs: tuple[tuple[Dim, ...], ...]
    outputs: tuple[tuple[Dim, ...], ...]
    metadata: Mapping[str, str]


def spec_from_onnx(graph: GraphIO, path: Path) -> ModelSpec:
    """Read the contract of a YOLO detector or segmenter.

    Raises WeightsError when the file is another kind of model or says too little of itself.
    """
    shape = _input_shape(graph, path)
    meta = graph.metadata
    if "names" not in meta or "task" not in meta:
        raise WeightsError(
            "the ONNX file names neither its classes nor its task in its metadata",
            path=path,
            hint="Export it with detect-tl export (or with Ultralytics), which writes both.",
        )
    task = _task(meta["task"], path)
    names = _names(_literal(meta, "names", path), path)
    args = _literal(meta, "args", path) if "args" in meta else {}
    suppressed = isinstance(args, Mapping) and bool(args.get("nms"))
    spec = ModelSpec(
        names=names,
        task=task,
        imgsz=_imgsz(shape, meta, path),
        stride=_whole(meta, "stride", 32, path),
        batch=shape[0] if isinstance(shape[0], int) else _whole(meta, "batch", 1, path),
        dynamic=not all(isinstance(side, int) for side in shape[2:]),
        end2end=suppressed or meta.get("end2end", "False").strip().lower() == "true",
    )
    _check_outputs(graph, spec, path)
    return spec


def _input_shape(graph: GraphIO, path: Path) -> tuple[Dim, Dim, Dim, Dim]:
    if len(graph.inputs) == 1 and len(graph.inputs[0]) == 4 and graph.inputs[0][1] in (3, None):
        batch, channels, height, width = graph.inputs[0]
        return batch, channels, height, width
    raise WeightsError(
        f"a detector reads one (batch, 3, height, width) image, this model {list(graph.inputs)}",
        path=path,
        hint="Only YOLO detectors and segmenters can be run.",
    )


def _task(value: str, path: Path) -> Task:
    for task in TASKS:
        if value == task:
            return task
    raise WeightsError(
        f"the model's task is {value!r}",
        path=path,
        hint=f"Only these tasks can be run: {', '.join(TASKS)}.",
    )


def _names(value: Any, path: Path) -> tuple[str, ...]:
    """Class names in the order of their ids, from {0: "a", 1: "b"} or ["a", "b"]."""
    if isinstance(value, Mapping) and sorted(value) == list(range(len(value))):
        value = [value[index] for index in range(len(value))]
    if isinstance(value, list | tuple) and value:
        return tuple(str(name) for name in value)
    raise WeightsError(
        "the class names in the metadata are not numbered from 0 without gaps",
        path=path,
        hint="Export the model again.",
    )


def _imgsz(shape: tuple[Dim, ...], meta: Mapping[str, str], path: Path) -> tuple[int, int]:
    height, width = shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    value = _literal(meta, "imgsz", path) if "imgsz" in meta else 640
    sides = [value, value] if isinstance(value, int) else value
    if isinstance(sides, list | tuple) and len(sides) == 2:
        return int(sides[0]), int(sides[1])
    raise WeightsError(f"cannot read the input size {value!r}", path=path, hint="Export it again.")


def _whole(meta: Mapping[str, str], key: str, default: int, path: Path) -> int:
    value = _literal(meta, key, path) if key in meta else default
    if isinstance(value, int | float) and value >= 1:
        return int(value)
    raise WeightsError(f"the metadata say {key}={value!r}", path=path, hint="Export it again.")


def _literal(meta: Mapping[str, str], key: str, path: Path) -> Any:
    try:
        return ast.literal_eval(meta[key])
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise WeightsError(
            f"cannot read {key!r} in the metadata: {meta[key][:60]!r}",
            path=path,
            hint="Export the model again.",
        ) from error


def _check_outputs(graph: GraphIO, spec: ModelSpec, path: Path) -> None:
    """Refuse a graph whose outputs cannot belong to its metadata, before any frame is run."""
    wanted = 2 if spec.task == "segment" else 1
    if len(graph.outputs) < wanted or len(graph.outputs[0]) != 3:
        raise WeightsError(
            f"a model for {spec.task!r} has {wanted} output(s), the first of rank 3; "
            f"this one has {list(graph.outputs)}",
            path=path,
            hint="Only YOLO models since version 8 can be run.",
        )
    masks = graph.outputs[1][1] if spec.task == "segment" else 0
    rows = graph.outputs[0][2] if spec.end2end else graph.outputs[0][1]
    if not isinstance(rows, int) or not isinstance(masks, int):
        return
    need = (6 if spec.end2end else 4 + spec.class_count) + masks
    if rows != need:
        raise WeightsError(
            f"the first output has {rows} values a box where {spec.class_count} classes need "
            f"{need}",
            path=path,
            hint="The class names in the metadata belong to another model; export it again.",
        )
