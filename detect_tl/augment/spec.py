"""What an augmentation is, as a value: it can be printed, compared, and kept beside a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from detect_tl.core.errors import UsageError, did_you_mean
from detect_tl.core.objects import Json

COMPOSITIONS: Mapping[str, frozenset[str]] = {
    "OneOf": frozenset({"p"}),
    "SomeOf": frozenset({"n", "replace", "p"}),
    "RandomOrder": frozenset({"n", "replace", "p"}),
    "Sequential": frozenset({"p"}),
}
"""albumentations' groups of transforms, and what they can be told."""

_KEYS = ("name", "description", "transforms")


@dataclass(frozen=True, slots=True)
class Step:
    """One transform of albumentations by name, or a group of them (see `COMPOSITIONS`)."""

    name: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    def as_json(self) -> dict[str, Any]:
        inner = {"transforms": [step.as_json() for step in self.steps]} if self.steps else {}
        return {self.name: {**self.parameters, **inner}}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A named sequence of steps, applied in their order."""

    name: str
    description: str = ""
    steps: tuple[Step, ...] = ()

    def then(self, *steps: Step) -> Augmentation:
        """The same, with further steps after it."""
        return replace(self, steps=(*self.steps, *steps))

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "transforms": [step.as_json() for step in self.steps],
        }

    def as_yaml(self) -> str:
        """The file that `parse` reads back as an equal value."""
        import yaml

        text: str = yaml.safe_dump(
            _plain(self.as_json()), sort_keys=False, allow_unicode=True, default_flow_style=None
        )
        return text

    @classmethod
    def parse(cls, value: object, name: str = "own") -> Augmentation:
        """Build from plain values, as YAML gives them: a list of transforms, or a mapping.

        Whether albumentations knows the names is seen when a pipeline is built. Raises UsageError
        for another structure.
        """
        document = value if isinstance(value, Mapping) else {"transforms": value}
        for key in document:
            if key not in _KEYS:
                raise UsageError(
                    f"unknown key {key!r} in an augmentation", hint=did_you_mean(str(key), _KEYS)
                )
        return cls(
            str(document.get("name", name)),
            str(document.get("description", "")),
            _steps(document.get("transforms"), "transforms"),
        )


def _steps(value: object, where: str) -> tuple[Step, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UsageError(
            f"{where} must be a list of transforms, not {value!r}",
            hint="For example: transforms: [HorizontalFlip: {p: 0.5}]",
        )
    return tuple(_step(item, f"{where}[{place}]") for place, item in enumerate(value))


def _step(value: object, where: str) -> Step:
    """A name alone, or `{name: parameters}`."""
    if isinstance(value, str):
        return Step(value)
    if not isinstance(value, Mapping) or len(value) != 1:
        raise UsageError(
            f"{where} must be one transform with its parameters, not {value!r}",
            hint="For example: - RandomGamma: {gamma_limit: [80, 120], p: 0.3}",
        )
    name, given = next(iter(value.items()))
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(
            f"the parameters of {name} must be a mapping, not {given!r}",
            hint=f"For example: - {name}: {{p: 0.5}}",
        )
    parameters = {str(key): item for key, item in (given or {}).items()}
    if name not in COMPOSITIONS:
        return Step(str(name), parameters)
    return Step(name, parameters, _steps(parameters.pop("transforms", None), f"{where}.{name}"))


def _plain(value: Any) -> Any:
    """Tuples as lists, which YAML and JSON have."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
