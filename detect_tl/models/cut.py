"""A model in two parts: layers whose answers can be kept, and those that go on from there.

YOLO models are a list of layers, each of which reads the answer of the one before it, or of others
named by their index (`layer.f`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Maps = Mapping[int, Tensor]

_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a model is cut: before layer `first`.

    needed: the layers before the cut whose answers the layers behind it read, ascending. For a
        frozen backbone of YOLO11 these are 4, 6 and 10, for all but the head 16, 19 and 22.
    """

    first: int
    needed: tuple[int, ...]


def cut_before(model: Any, first: int) -> Cut:
    """Derive from the graph what the layers from `first` on read of those before it."""
    needed = {
        source
        for layer in list(model.model)[first:]
        for source in _sources(layer)
        if source < first
    }
    return Cut(first, tuple(sorted(needed)))


def _sources(layer: Any) -> list[int]:
    """Indices of the layers that a layer reads."""
    given = [layer.f] if isinstance(layer.f, int) else list(layer.f)
    return [layer.i + source if source < 0 else source for source in given]


def run_front(layers: Iterable[Any], cut: Cut, images: Tensor) -> dict[int, Tensor]:
    """The answers of the needed layers before the cut.

    layers: of a model, from its first one on. images: (N, 3, H, W), 0 to 1.
    """
    answers: dict[int, Tensor] = {}
    x: Any = images
    front = list(layers)[: cut.first]
    kept = {*cut.needed, *(source for layer in front for source in _sources(layer))}
    for layer in front:
        if layer.f != -1:
            x = _inputs(layer, answers)
        x = layer(x)
        if layer.i in kept:
            answers[layer.i] = x
    return {index: answers[index] for index in cut.needed}


def run_rest(model: Any, cut: Cut, maps: Maps) -> Any:
    """The answer of the model, from the answers of the needed layers."""
    answers = dict(maps)
    x: Any = answers.get(cut.first - 1)
    for layer in list(model.model)[cut.first :]:
        if layer.f != -1:
            x = _inputs(layer, answers)
        x = layer(x)
        answers[layer.i] = x
    return x


def _inputs(layer: Any, answers: Maps) -> Any:
    found = [answers[source] for source in _sources(layer)]
    return found[0] if isinstance(layer.f, int) else found


def pad_rows(images: Tensor, rows: int) -> Tensor:
    """As many pictures as `rows`, blank ones behind those that there are."""
    missing = rows - len(images)
    return (
        torch.cat((images, images.new_zeros((missing, *images.shape[1:]))))
        if missing > 0
        else images
    )


def first_rows(value: Any, rows: int) -> Any:
    """The first rows of all tensors in nested lists and dicts."""
    if isinstance(value, Tensor):
        return value[:rows]
    if isinstance(value, dict):
        return {key: first_rows(item, rows) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(first_rows(item, rows) for item in value)
    return value


def to_float32(value: Any) -> Any:
    """All tensors of 16 bits in nested lists and dicts, bfloat16 or float16, as float32."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _HALF else value
    if isinstance(value, dict):
        return {key: to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_float32(item) for item in value)
    return value
