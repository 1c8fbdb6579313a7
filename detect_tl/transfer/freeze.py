"""Which layers stay as they were, by name ("backbone", "neck") or by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detect_tl.core.errors import UsageError, WeightsError, did_you_mean

NAMES = ("none", "backbone", "neck")

FreezeSpec = str | int | list[int] | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class LayerRanges:
    """Where the parts of a YOLO model begin, as indices of its top-level layers."""

    neck: int
    head: int

    @classmethod
    def of(cls, architecture: Mapping[str, Any]) -> LayerRanges:
        """Read the ranges off a model configuration (the `yaml` of a YOLO model).

        Layers are numbered through `backbone` and `head`; the last of `head` is the head proper and
        what lies between is the neck. So the backbone of YOLOv8 is layers 0-9, that of YOLO11 and
        YOLO26 is 0-10.

        Raises WeightsError when `architecture` is no such configuration.
        """
        backbone, head = architecture.get("backbone"), architecture.get("head")
        if not (isinstance(backbone, list) and isinstance(head, list) and backbone and head):
            raise WeightsError(
                "the model does not say where its backbone ends, so nothing can be frozen by name",
                hint="Use a YOLOv8, YOLO11 or YOLO26 checkpoint.",
            )
        return cls(neck=len(backbone), head=len(backbone) + len(head) - 1)


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """Top-level layers that do not train, ascending, and the choice in words."""

    layers: tuple[int, ...]
    description: str


def frozen_layers(spec: FreezeSpec, architecture: Mapping[str, Any]) -> FreezePlan:
    """Resolve what to freeze against a model.

    spec: "backbone", "neck" (everything before the head, the backbone included), "none" or None;
        a number N for the first N layers; or the layers' own indices. Numbers may be text ("10",
        "0,1,2"), as a command line gives them.
    architecture: configuration of the model, see `LayerRanges.of`.

    Raises UsageError for an unknown name, a number out of range, and when nothing would train.
    """
    ranges = LayerRanges.of(architecture)
    parsed = _parse(spec)
    if isinstance(parsed, str):
        count = {"none": 0, "backbone": ranges.neck, "neck": ranges.head}[parsed]
        return _first(count, parsed)
    last = ranges.head
    if isinstance(parsed, int):
        if not 0 <= parsed <= last:
            raise UsageError(
                f"cannot freeze the first {parsed} layers: the model has {last + 1}, the last of"
                " which is the head",
                hint=f"Give 0 to {last}, or a name: {', '.join(NAMES)}.",
            )
        return _first(parsed, "")
    wrong = [layer for layer in parsed if not 0 <= layer <= last]
    if wrong:
        raise UsageError(
            f"cannot freeze layer {wrong[0]}: the model has layers 0 to {last}",
            hint=f"Give layers of the model, or a name: {', '.join(NAMES)}.",
        )
    if len(parsed) > last:
        raise UsageError(
            "all layers would be frozen, nothing would train", hint="Leave the head out."
        )
    return FreezePlan(parsed, _describe(parsed))


def _parse(spec: FreezeSpec) -> str | int | tuple[int, ...]:
    if spec is None:
        return "none"
    if isinstance(spec, str):
        text = spec.strip().lower()
        if text in NAMES:
            return text
        parts = [part.strip() for part in text.split(",")]
        if not all(part.removeprefix("-").isdecimal() for part in parts):
            raise UsageError(f"cannot freeze {spec!r}", hint=did_you_mean(text, NAMES))
        return int(text) if len(parts) == 1 else _layers(map(int, parts))
    if isinstance(spec, int) and not isinstance(spec, bool):
        return spec
    if isinstance(spec, (list, tuple)) and all(type(layer) is int for layer in spec):
        return _layers(spec)
    raise UsageError(
        f"cannot freeze {spec!r}", hint=f"Give a number of layers or one of {', '.join(NAMES)}."
    )


def _layers(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(numbers)))


def _first(count: int, name: str) -> FreezePlan:
    layers = tuple(range(count))
    return FreezePlan(
        layers, f"{name}: {_describe(layers)}" if name and count else _describe(layers)
    )


def _describe(layers: Sequence[int]) -> str:
    """Say layers as ranges: "layers 0-9, 12 frozen"."""
    if not layers:
        return "nothing frozen"
    starts = [layer for layer in layers if layer - 1 not in layers]
    ends = [layer for layer in layers if layer + 1 not in layers]
    ranges = [f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
    return f"layer{'s' * (len(layers) > 1)} {', '.join(ranges)} frozen"
