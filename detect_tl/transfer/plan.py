"""The transfer plan: what becomes of every tensor, decided on names and shapes before any is moved.

The plan is the report: `as_json` is what `transfer.json` holds, `summary` what a person reads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

from detect_tl.core.errors import WeightsError
from detect_tl.transfer.classes import ClassMatch, match_classes
from detect_tl.transfer.kin import Kin

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Fate = Literal["copied", "remapped", "new"]
FrozenUntil = int | Literal["end"] | None

# The last convolution of a class branch has one row per class: `cv3.0.2.weight`, its twin of the
# end-to-end head, and the semantic branch with which YOLO26 trains its prototypes.
_CLASS_ROWS = re.compile(
    r"model\.\d+\.(?:(?:one2one_)?cv3\.\d+|proto\.semseg)\.\d+\.(?:weight|bias)"
)
_LAYER = re.compile(r"model\.(\d+)\.")
_COUNTER = ".num_batches_tracked"
_CONSTANT = ".dfl."  # weights 0, 1, 2, … that turn a distribution into a distance; never trained


@dataclass(frozen=True, slots=True)
class TensorFate:
    """What becomes of one tensor of the new model.

    rows: for "remapped", (row here, row of the source) for every class found by name; the other
        rows stay new.
    frozen_until: first epoch (0-based) in which it may change, "end" for never, None for the first.
    """

    name: str
    shape: Shape
    fate: Fate
    reason: str = ""
    rows: tuple[tuple[int, int], ...] = ()
    frozen_until: FrozenUntil = None


@dataclass(frozen=True, slots=True)
class SkippedTensor:
    """A tensor of the source that the new model does not take, and why."""

    name: str
    shape: Shape
    reason: str


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """Fate of all tensors, in the order of the new model's state.

    imprints: of new classes whose rows were computed from their own training objects, how many.
    """

    tensors: tuple[TensorFate, ...]
    skipped: tuple[SkippedTensor, ...]
    classes: ClassMatch
    imprints: Mapping[str, int] = field(default_factory=dict)

    def of(self, fate: Fate) -> list[TensorFate]:
        return [tensor for tensor in self.tensors if tensor.fate == fate]

    @property
    def transferred(self) -> int:
        """Number of tensors that take values from the source, in whole or by class rows."""
        return len(self.tensors) - len(self.of("new"))

    @property
    def fit(self) -> float:
        """Share of the numbers in front of the head that come from the source, 0 to 1."""
        return _fit_before_head(self.tensors)

    @property
    def from_scratch(self) -> bool:
        """Whether nothing at all comes from the source."""
        return not self.transferred

    def new_classes(self) -> list[int]:
        """Ids of the classes whose rows no class of the source lends."""
        lent = {here for here, _ in self.classes.rows}
        return [row for row in range(len(self.classes.target)) if row not in lent]

    def imprinted(self, objects: Mapping[str, int]) -> TransferPlan:
        """The plan after rows of new classes were computed from so many of their objects."""
        return replace(self, imprints={name: n for name, n in objects.items() if n})

    def summary(self) -> list[str]:
        """A few lines for people."""
        lines = [f"{self.transferred} of {len(self.tensors)} tensors transferred"]
        if self.fit < 1:
            lines.append(f"only {_percent(self.fit)} of the numbers before the head are among them")
        lines += _grouped("remapped", (tensor.reason for tensor in self.of("remapped")))
        lines += _grouped("new", (tensor.reason for tensor in self.of("new")))
        if self.imprints:
            told = ", ".join(f"{name} ({n})" for name, n in self.imprints.items())
            lines.append(f"imprinted: rows of new classes computed from their objects, {told}")
        here = {tensor.name for tensor in self.tensors}
        lines += _grouped("unused", (s.reason for s in self.skipped if s.name not in here))
        untils = (tensor.frozen_until for tensor in self.tensors)
        return lines + _grouped(
            "frozen", (_until_text(until) for until in untils if until is not None)
        )

    def as_json(self) -> dict[str, Any]:
        """The content of `transfer.json`."""
        return {
            "summary": self.summary(),
            "counts": {
                "tensors": len(self.tensors),
                **{fate: len(self.of(fate)) for fate in ("copied", "remapped", "new")},
                "skipped": len(self.skipped),
                "frozen": sum(t.frozen_until is not None for t in self.tensors),
            },
            "classes": {**self.classes.as_json(), "imprinted": dict(self.imprints)},
            "tensors": {tensor.name: _tensor_json(tensor) for tensor in self.tensors},
            "skipped": {
                tensor.name: {"shape": list(tensor.shape), "reason": tensor.reason}
                for tensor in self.skipped
            },
        }


def plan_transfer(
    source: Shapes,
    target: Shapes,
    *,
    source_names: Sequence[str] = (),
    target_names: Sequence[str] = (),
    frozen_layers: Collection[int] | Mapping[int, int | None] = (),
    minimum: float = 0.5,
    kin: Kin | None = None,
) -> TransferPlan:
    """Decide what every tensor of `target` takes from `source`. Touches no tensor.

    source, target: shapes by name, as in `state_dict`.
    source_names, target_names: classes in the order of their ids. The rows of the class branch are
        matched by name, whatever their order and number; without names, by position.
    frozen_layers: indices of layers that do not train; as a mapping, to the first epoch in which
        they do (None: never).
    minimum: share of the numbers before the head that must find their place.
    kin: what else classes may be called in the source; None for the table that ships.

    Raises WeightsError when the source is of another architecture or fused for inference, and when
    a tensor that is to stay frozen would be left random.
    """
    classes = match_classes(source_names, target_names, kin)
    frozen = _until(frozen_layers)
    fates = {name: _fate(name, source, shape, classes) for name, shape in target.items()}
    _keep_partners(fates)
    tensors = tuple(
        TensorFate(name, target[name], fate, reason, rows, _frozen_until(name, frozen))
        for name, (fate, reason, rows) in fates.items()
    )
    _refuse_misfit(source, tensors, minimum)
    _refuse_frozen_noise(tensors)
    return TransferPlan(tensors, tuple(_skipped(source, tensors)), classes)


def plan_scratch(
    target: Shapes, *, source_names: Sequence[str] = (), target_names: Sequence[str] = ()
) -> TransferPlan:
    """The plan of a model that takes nothing from any other: all of its tensors are new."""
    reason = "trained from random numbers, as was asked for"
    tensors = tuple(
        TensorFate(name, shape, "new", reason, (), _frozen_until(name, {}))
        for name, shape in target.items()
    )
    nothing = replace(match_classes(source_names, target_names), rows=(), kin=frozenset())
    return TransferPlan(tensors, (), nothing)


_Decision = tuple[Fate, str, tuple[tuple[int, int], ...]]


def _fate(name: str, source: Shapes, shape: Shape, classes: ClassMatch) -> _Decision:
    if name not in source:
        return "new", _part(name), ()
    given = source[name]
    if _CLASS_ROWS.fullmatch(name) and shape[0] == len(classes.target):
        if given[1:] != shape[1:]:
            return "new", f"its class branch is {shape[1]} wide, the source's {given[1]}", ()
        if classes.rows and not classes.identical:
            return "remapped", classes.describe(), classes.rows
        if classes.known and not classes.identical:
            return "new", classes.describe(), ()
    if given != shape:
        return "new", f"of shape {_sizes(shape)}, the source's is {_sizes(given)}", ()
    return "copied", "", ()


def _part(name: str) -> str:
    """Say what a tensor that only the new model has belongs to."""
    if re.search(r"model\.\d+\.(?:one2one_)?cv4\.|\.proto\.", name):
        return "the mask branch, which the source does not have"
    if ".one2one_" in name:
        return "the end-to-end head, which the source does not have"
    return "the source has no such tensor"


def _keep_partners(fates: dict[str, _Decision]) -> None:
    """Leave alone what means nothing without a tensor that is new.

    That is a BatchNorm's step counter without the statistics that it counts, and the bias of a
    class without its weights; both would fit by shape.
    """
    for name, (fate, _, _) in list(fates.items()):
        if name.endswith(_COUNTER):
            partner = name.removesuffix(_COUNTER) + ".running_mean"
        elif _CLASS_ROWS.fullmatch(name):
            partner = name.removesuffix(".bias") + ".weight"
        else:
            continue
        if fate != "new" and fates.get(partner, ("", "", ()))[0] == "new":
            fates[name] = fates[partner]


def _until(layers: Collection[int] | Mapping[int, int | None]) -> dict[int, FrozenUntil]:
    if isinstance(layers, Mapping):
        return {layer: "end" if epoch is None else epoch for layer, epoch in layers.items()}
    return dict.fromkeys(layers, "end")


def _frozen_until(name: str, frozen: Mapping[int, FrozenUntil]) -> FrozenUntil:
    return "end" if _CONSTANT in name else frozen.get(_layer(name))


def _layer(name: str) -> int:
    found = _LAYER.match(name)
    return int(found.group(1)) if found else -1


def _refuse_misfit(source: Shapes, tensors: Sequence[TensorFate], minimum: float) -> None:
    names = [tensor.name for tensor in tensors]
    if any(".bn." in name for name in names) and not any(".bn." in name for name in source):
        raise WeightsError(
            "the checkpoint was fused for inference: its BatchNorm layers are gone, so it cannot be"
            " trained further",
            hint="Use the checkpoint that training wrote, before export or fusing.",
        )
    fit = _fit_before_head(tensors)
    if fit < minimum:
        raise WeightsError(
            f"the weights fill {_percent(fit)} of the model before its head; they are of another"
            " family or scale",
            hint="Use weights of the model's own kind, for example yolo11n for a YOLO11 n.",
        )


def _fit_before_head(tensors: Sequence[TensorFate]) -> float:
    head = max((_layer(tensor.name) for tensor in tensors), default=-1)
    body = [tensor for tensor in tensors if _layer(tensor.name) < head]
    total = sum(prod(tensor.shape) for tensor in body)
    copied = sum(prod(tensor.shape) for tensor in body if tensor.fate == "copied")
    return copied / total if total else 1.0


def _percent(share: float) -> str:
    """Rounded down, so that only what is whole is called 100%."""
    return f"{int(share * 100)}%"


def _refuse_frozen_noise(tensors: Sequence[TensorFate]) -> None:
    """Refuse random values that would never train; the constants are right from the start."""
    loose = [
        tensor
        for tensor in tensors
        if tensor.frozen_until is not None
        and _CONSTANT not in tensor.name
        and (tensor.fate == "new" or 0 < len(tensor.rows) < tensor.shape[0])
    ]
    if loose:
        raise WeightsError(
            f"{len(loose)} tensors would be frozen with random values, {loose[0].name} first:"
            f" {loose[0].reason}",
            hint="Freeze fewer layers, or start from weights that have these.",
        )


def _skipped(source: Shapes, tensors: Sequence[TensorFate]) -> Iterator[SkippedTensor]:
    fates = {tensor.name: tensor for tensor in tensors}
    for name, shape in source.items():
        if name not in fates:
            yield SkippedTensor(name, shape, "the model has no such tensor")
        elif fates[name].fate == "new":
            yield SkippedTensor(name, shape, f"the model's is new: {fates[name].reason}")


def _tensor_json(tensor: TensorFate) -> dict[str, Any]:
    return {
        "fate": tensor.fate,
        "shape": list(tensor.shape),
        **({"reason": tensor.reason} if tensor.reason else {}),
        **({"rows": {str(here): there for here, there in tensor.rows}} if tensor.rows else {}),
        "frozen_until": tensor.frozen_until,
    }


def _grouped(kind: str, reasons: Iterable[str], most: int = 5) -> list[str]:
    """One line per reason, the most frequent first."""
    groups = Counter(reasons).most_common()
    lines = [f"{number} {kind}: {reason}" for reason, number in groups[:most]]
    rest = sum(number for _, number in groups[most:])
    return [*lines, *([f"{rest} {kind} for other reasons (see transfer.json)"] if rest else [])]


def _until_text(until: FrozenUntil) -> str:
    return "until the end" if until == "end" else f"until epoch {until}"


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "1"
