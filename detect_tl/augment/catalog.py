"""The transforms of albumentations that can be asked for, checked before any picture is touched.

A transform is on offer when boxes and masks can follow what it does to the picture.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from detect_tl.augment.spec import COMPOSITIONS, Step
from detect_tl.core.errors import UsageError, did_you_mean

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version

_REFUSED: Mapping[str, str] = {
    "ConstrainedCoarseDropout": "it must be told what to cover; CoarseDropout need not",
    "FrequencyMasking": "it is made for sound",
    "FromFloat": "it changes the kind of numbers in a picture",
    "GridElasticDeform": "boxes follow it only roughly; ElasticTransform does much the same",
    "Lambda": "it needs a Python function",
    "MaskDropout": "it erases whole objects by their masks",
    "Morphological": "it grows or shrinks masks without their objects",
    "Normalize": "it changes the kind of numbers in a picture",
    "PiecewiseAffine": "it is slow; ElasticTransform does much the same",
    "RandomCropNearBBox": "it needs a box of its own for every picture",
    "RandomGridShuffle": "it cuts pictures, and the objects in them, into pieces",
    "ShiftScaleRotate": "Affine does the same, and more",
    "TextImage": "it needs a font file and a text for every picture",
    "TimeMasking": "it is made for sound",
    "TimeReverse": "it is made for sound",
    "ToFloat": "it changes the kind of numbers in a picture",
    "ToRGB": "pictures have their three colours already",
}
_OURS: Mapping[str, str] = {
    "fill_mask": "what is erased from a picture is erased from its masks",
    "mask_interpolation": "a pixel of a mask is the object or is not",
}
"""Parameters that are not the user's, and why."""

_CONSTANT_BORDER = 0

_RESIZERS = frozenset({
    "CropAndPad", "LongestMaxSize", "RandomResizedCrop", "RandomScale", "RandomSizedBBoxSafeCrop",
    "RandomSizedCrop", "Resize", "SmallestMaxSize",
})  # fmt: skip
_NEAREST_CENTRE = 6  # cv2.INTER_NEAREST_EXACT; the other kind is half a pixel off when it resizes


def build_step(step: Step) -> Any:
    """One transform of albumentations, or a group.

    Raises UsageError for a name or a parameter that it does not know, a value that it does not
    take, and a transform that boxes and masks cannot follow.
    """
    import albumentations

    if step.name in COMPOSITIONS:
        _refuse_unknown(step, COMPOSITIONS[step.name])
        if not step.steps:
            raise UsageError(f"{step.name} has no transforms to choose from")
        inner = [build_step(child) for child in step.steps]
        return _made(getattr(albumentations, step.name), step, {"transforms": inner})
    kind = _transform(step.name)
    known = inspect.signature(kind).parameters
    for key, reason in _OURS.items():
        if key in step.parameters:
            raise UsageError(f"{key} of {step.name} cannot be chosen: {reason}", hint="Leave it.")
    _refuse_unknown(step, known.keys() - _OURS.keys())
    more = {"fill_mask": 0} if "fill_mask" in known else {}
    if step.name in _RESIZERS:
        more["mask_interpolation"] = _NEAREST_CENTRE
    made = _made(kind, step, more)
    if getattr(made, "border_mode", _CONSTANT_BORDER) != _CONSTANT_BORDER:
        raise UsageError(
            f"{step.name} would fill the border with copies of the picture, in which objects"
            " appear again without a label",
            hint="Leave border_mode, or set it to 0; fill chooses the colour.",
        )
    return made


@cache
def transform_names() -> tuple[str, ...]:
    """Names of the transforms on offer, sorted."""
    import albumentations
    from albumentations.core.transforms_interface import BasicTransform

    found = (
        (name, getattr(albumentations, name))
        for name in sorted(dir(albumentations))
        if name not in _REFUSED
    )
    return tuple(
        name
        for name, kind in found
        if inspect.isclass(kind) and issubclass(kind, BasicTransform) and _can_follow(kind)
    )


def _can_follow(kind: Any) -> bool:
    """Whether it changes pictures alone, or moves boxes and masks as well."""
    from albumentations.core import transforms_interface as interface
    from albumentations.core.type_definitions import Targets

    if kind in (interface.BasicTransform, interface.DualTransform, interface.ImageOnlyTransform):
        return False
    if kind.targets_as_params is not interface.BasicTransform.targets_as_params:
        return False  # it wants something beside the picture, such as a second one
    if issubclass(kind, interface.ImageOnlyTransform):
        return True
    declared = getattr(kind, "_targets", ())
    targets = declared if isinstance(declared, tuple) else (declared,)
    return {Targets.IMAGE, Targets.MASK, Targets.BBOXES} <= set(targets)


def _transform(name: str) -> Any:
    import albumentations

    if name in _REFUSED:
        raise UsageError(f"{name} cannot be used: {_REFUSED[name]}", hint="Leave it out.")
    if name not in transform_names():
        raise UsageError(
            f"unknown transform {name!r}",
            hint=did_you_mean(name, (*transform_names(), *COMPOSITIONS)),
        )
    return getattr(albumentations, name)


def _refuse_unknown(step: Step, known: Any) -> None:
    for key in step.parameters:
        if key not in known:
            raise UsageError(
                f"{step.name} has no parameter {key!r}", hint=did_you_mean(key, sorted(known))
            )


def _made(kind: Any, step: Step, more: Mapping[str, Any]) -> Any:
    """Call a class of albumentations; what it only warns of (a value put right) is an error."""
    values = {key: _tupled(value) for key, value in step.parameters.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return kind(**values, **more)
    except (ValueError, TypeError, AttributeError, UserWarning, DeprecationWarning) as error:
        raise UsageError(
            f"{step.name} does not take these parameters: {_sentence(error)}",
            hint=f"albumentations describes {step.name}, its parameters and their ranges.",
        ) from error


def _sentence(error: Exception) -> str:
    """The first complaint of pydantic, or what the transform says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 2 and "validation error" in lines[0]:
        return f"{lines[1].partition('.')[0]}: {lines[2].partition(' [type=')[0]}"
    return lines[0] if lines else type(error).__name__


def _tupled(value: Any) -> Any:
    """Ranges are tuples to albumentations; YAML and JSON give lists."""
    if isinstance(value, list | tuple):
        return tuple(map(_tupled, value))
    if isinstance(value, Mapping):
        return {key: _tupled(item) for key, item in value.items()}
    return value
