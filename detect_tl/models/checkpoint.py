"""Checkpoints: loaded without running what is in them, and described."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from detect_tl.core.errors import WeightsError
from detect_tl.core.model_spec import Task
from detect_tl.models.allowed import ForbiddenError, load_restricted
from detect_tl.models.architecture import architecture_problem
from detect_tl.models.yolo import (
    ULTRALYTICS_VERSION,
    DetectionModel,
    SegmentationModel,
    WorldModel,
    YOLOEModel,
    YOLOESegModel,
    quiet,
)
from detect_tl.transfer.container import require_checkpoint_file
from detect_tl.transfer.freeze import LayerRanges

_TASKS: dict[type[nn.Module], Task] = {DetectionModel: "detect", SegmentationModel: "segment"}
OPEN_TASKS: dict[type[nn.Module], Task] = {
    WorldModel: "detect",
    YOLOEModel: "detect",
    YOLOESegModel: "segment",
}
"""Models that find what they are told to. Once they have been told, they detect like any other."""

TOLD = "detect_tl_names"
"""Of a checkpoint: the names that such a model was told."""

_FACTS = ("epoch", "date", "version", "license", "best_fitness", "train_metrics", "detect_tl")
_TRUST = "If you trust where the file comes from, repeat with --trust."
_USE_YOLO = "Use a detection or segmentation checkpoint of YOLOv8, YOLO11 or YOLO26."
_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError,
    AttributeError, UnicodeDecodeError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model and what its file says about it.

    model: float32, on the CPU, in evaluation mode; the averaged weights when the file has them.
    names: class names in the order of their ids.
    yaml: configuration that the model was built from.
    train_args: settings of the training that wrote it; may be empty.
    facts: epoch, date, version, best_fitness, train_metrics, …, as far as the file has them.
    """

    path: Path
    model: nn.Module
    task: Task
    names: tuple[str, ...]
    yaml: dict[str, Any]
    train_args: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def trainable(self) -> bool:
        """False for a model that was fused for inference, whose BatchNorm layers are gone, and for
        one of an open vocabulary."""
        return type(self.model) in _TASKS and any(
            isinstance(module, nn.BatchNorm2d) for module in self.model.modules()
        )


def same_tensors(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same numbers, to the bit."""
    a, b = (load_checkpoint(path).model.state_dict() for path in (one, other))
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def load_checkpoint(path: Path, *, trust: bool = False, untold: bool = False) -> Checkpoint:
    """Load a detection or segmentation checkpoint of Ultralytics' making.

    trust: also load one that asks for more than models are made of. That runs whatever the file
        contains, as the user.
    untold: also load an open-vocabulary model that has not been told what to look for.

    Raises WeightsError when the file is missing, no checkpoint, damaged, refused, or of a model
    that this package cannot use.
    """
    require_checkpoint_file(path)
    content = _load_anything(path) if trust else _load_safely(path)
    model = _find_model(content, path)
    held: Mapping[str, Any] = content if isinstance(content, dict) else {}
    task = _TASKS.get(type(model))
    if task is None and type(model) in OPEN_TASKS:
        if not (untold or TOLD in held):
            raise WeightsError(
                "holds an open-vocabulary model, which must be told what to look for",
                path=path,
                hint="detect-tl predict yolo11n SOURCE --zero-shot NAMES --open-weights FILE",
            )
        task = OPEN_TASKS[type(model)]
        if untold:
            model.names = None  # whatever they are, they will be others
    if task is None:
        raise WeightsError(
            f"holds a {type(model).__name__}, which neither detects boxes nor segments instances",
            path=path,
            hint=_USE_YOLO,
        )
    if problem := "" if trust else architecture_problem(getattr(model, "yaml", None)):
        raise WeightsError(f"was refused: {problem}", path=path, hint=_TRUST)
    train_args = held.get("train_args")
    try:
        model = _made_ready(model, task, path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"holds a model that lacks what this release of Ultralytics expects: {error}",
            path=path,
            hint=_USE_YOLO,
        ) from error
    return Checkpoint(
        path=path,
        model=model,
        task=task,
        names=tuple(model.names.values()),
        yaml=model.yaml,
        train_args=dict(train_args) if isinstance(train_args, dict) else {},
        facts={key: held[key] for key in _FACTS if held.get(key) is not None},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """What there is to say of a checkpoint without training or running it.

    model: configuration that it was built from, such as "yolo11n".
    layers, backbone_layers: top-level layers, as `freeze` counts them.
    parameters: number of weights.
    trainable: see `Checkpoint`.
    """

    task: Task
    model: str
    names: tuple[str, ...]
    layers: int
    backbone_layers: int
    parameters: int
    trainable: bool
    facts: Mapping[str, Any]


def describe_checkpoint(path: Path, *, trust: bool = False) -> CheckpointInfo:
    """Load a checkpoint and describe it. Raises WeightsError as `load_checkpoint` does."""
    checkpoint = load_checkpoint(path, trust=trust)
    ranges = LayerRanges.of(checkpoint.yaml)
    return CheckpointInfo(
        task=checkpoint.task,
        model=Path(str(checkpoint.yaml.get("yaml_file", ""))).stem or "unnamed",
        names=checkpoint.names,
        layers=ranges.head + 1,
        backbone_layers=ranges.neck,
        parameters=sum(value.numel() for value in checkpoint.model.parameters()),
        trainable=checkpoint.trainable,
        facts=checkpoint.facts,
    )


def _load_safely(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd pickle protocol ends in an error anyway
            return load_restricted(path)
    except ForbiddenError as error:
        raise _refusal(error.names, path) from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _load_anything(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise _refusal([f"{error.name}.?"], path) from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _refusal(names: list[str], path: Path) -> WeightsError:
    """Explain a file that asks for `names`, as specifically as they allow."""
    first, packages = names[0], {name.partition(".")[0] for name in names}
    if packages & {"models", "yolov5", "yolov7"}:
        return WeightsError(
            f"is a checkpoint of the YOLOv5 or YOLOv7 repository (it asks for {first}), which"
            " current releases cannot load",
            path=path,
            hint=_USE_YOLO,
        )
    if packages == {"ultralytics"} and not any("(" in name for name in names):
        return WeightsError(
            f"asks for {first}, which Ultralytics {ULTRALYTICS_VERSION} does not offer to"
            " detectors and segmenters",
            path=path,
            hint="It is of another kind, or of a newer release: try to upgrade ultralytics.",
        )
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return WeightsError(
        f"was refused, for loading it would run code: it asks for {listed}", path=path, hint=_TRUST
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    # torch leads with advice on its own options; what went wrong follows this word.
    text = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    reason = text.splitlines()[0] if text else type(error).__name__
    return WeightsError(
        f"cannot be read as a checkpoint: {reason}",
        path=path,
        hint="Download or copy the file again.",
    )


def _find_model(content: Any, path: Path) -> nn.Module:
    """Return the model of a checkpoint, the averaged one first."""
    if isinstance(content, nn.Module):
        return content
    if isinstance(content, dict):
        for key in ("ema", "model"):
            if isinstance(content.get(key), nn.Module):
                model: nn.Module = content[key]
                return model
        inner = content.get("model") or content.get("state_dict") or content
        if isinstance(inner, dict) and any(isinstance(v, torch.Tensor) for v in inner.values()):
            raise WeightsError(
                "holds tensors only (a state dict), without the model that they belong to",
                path=path,
                hint="Save the model itself: YOLO(...).save('file.pt') of Ultralytics does.",
            )
    raise WeightsError(
        f"holds no model, only a {type(content).__name__}", path=path, hint=_USE_YOLO
    )


def _made_ready(model: nn.Module, task: Task, path: Path) -> Any:
    """Convert to float32 and give it the attributes that older releases did not write."""
    ready: Any = model
    with quiet():
        ready = ready.float().eval()
    head = ready.model[-1]
    ready.names = _names(getattr(ready, "names", None), int(head.nc), path)
    ready.task = task
    ready.pt_path = str(path)
    ready.criterion = None
    for module in ready.modules():
        if isinstance(module, nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
            module.recompute_scale_factor = None
    for name, tensor in ready.state_dict().items():
        # NumPy, for it starts no threads: a few hundred small tensors are not worth theirs.
        if tensor.is_floating_point() and not np.isfinite(tensor.numpy()).all():
            raise WeightsError(
                f"has values that are no numbers, in {name}: the training that wrote it diverged",
                path=path,
                hint="Use an earlier checkpoint.",
            )
    return ready


def _names(names: Any, count: int, path: Path) -> dict[int, str]:
    """Class names by id; their numbers where the file has none."""
    if not names:
        return {index: str(index) for index in range(count)}
    pairs = enumerate(names) if isinstance(names, list | tuple) else names.items()
    found = {int(index): str(name) for index, name in pairs}
    if sorted(found) != list(range(count)):
        raise WeightsError(
            f"has {count} classes but names for {len(found)}", path=path, hint=_USE_YOLO
        )
    return dict(sorted(found.items()))
