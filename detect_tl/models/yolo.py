"""The one module that knows Ultralytics: what is used of it, made to work offline and quietly."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, TextIO

from detect_tl.core.errors import UsageError, WeightsError
from detect_tl.core.model_spec import Task

# Ultralytics looks for the internet when it is imported, and later installs packages, fetches fonts
# and reports usage. A tool that must work offline without waiting asks for none of that.
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

_IMPORTED_BY_USER = "ultralytics" in sys.modules

from torch import device
from torch.nn import Module
from ultralytics import YOLO, __version__ as ULTRALYTICS_VERSION  # noqa: N812
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.data import base as _data_base, utils as _data_utils
from ultralytics.data.augment import Albumentations, RandomPerspective
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.nn import modules as _modules, tasks as _tasks
from ultralytics.nn.modules.block import DFL, ImagePoolingAttn, TorchVision
from ultralytics.nn.modules.conv import Conv, DWConv
from ultralytics.nn.tasks import (
    BaseModel,
    DetectionModel,
    SegmentationModel,
    WorldModel,
    YOLOEModel,
    YOLOESegModel,
    yaml_model_load,
)
from ultralytics.utils import (
    LOGGER,
    IterableSimpleNamespace,
    callbacks as _callbacks,
    loss as _loss,
    patches as _patches,
    tal as _tal,
)
from ultralytics.utils.instance import Instances
from ultralytics.utils.ops import resample_segments
from ultralytics.utils.tal import make_anchors
from ultralytics.utils.torch_utils import fuse_conv_and_bn, unwrap_model

__all__ = [
    "DEFAULT_CFG",
    "DFL",
    "LOGGER",
    "ULTRALYTICS_VERSION",
    "YOLO",
    "Albumentations",
    "BaseModel",
    "BaseTrainer",
    "Conv",
    "DWConv",
    "DetectionModel",
    "DetectionTrainer",
    "ImagePoolingAttn",
    "Instances",
    "RandomPerspective",
    "SegmentationModel",
    "SegmentationTrainer",
    "WorldModel",
    "YOLOEModel",
    "YOLOESegModel",
    "build_model",
    "checkpoint_classes",
    "fuse_conv_and_bn",
    "load_text_encoder",
    "make_anchors",
    "model_config",
    "quiet",
    "resample_segments",
    "unwrap_model",
    "without_integrations",
]

# The font is for plots that we do not ask for; fetching it would be the only use of the network.
_data_utils.check_font = lambda *_args, **_kwargs: None

# It replaces PIL.Image.open by one that fetches a HEIF reader when a file is no image; Pillow's own
# error is what the rest of the process expects.
_patches._pil_plugins_registered = True

_MODELS: dict[Task, type[BaseModel]] = {"detect": DetectionModel, "segment": SegmentationModel}


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at the time: results alone belong on stdout."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        del value


if not _IMPORTED_BY_USER:
    for _handler in list(LOGGER.handlers):
        _moved = _StandardError()
        _moved.setFormatter(_handler.formatter)
        LOGGER.removeHandler(_handler)
        LOGGER.addHandler(_moved)


@contextlib.contextmanager
def without_integrations() -> Iterator[None]:
    """Let no trainer that is made inside the block report to services or write for them.

    By itself Ultralytics logs to whatever it finds installed: with MLflow, for example, it makes a
    database in the current folder, asked or not.
    """
    before = _callbacks.add_integration_callbacks
    _callbacks.add_integration_callbacks = lambda _: None
    try:
        yield
    finally:
        _callbacks.add_integration_callbacks = before


@contextlib.contextmanager
def quiet(level: int = logging.ERROR) -> Iterator[None]:
    """Keep Ultralytics' log and its advisory warnings to itself inside the block."""
    before, bar = LOGGER.level, _data_base.TQDM
    LOGGER.setLevel(level)
    # this bar does not ask the log's level
    _data_base.TQDM = lambda *args, **options: bar(*args, **{**options, "disable": True})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        LOGGER.setLevel(before)
        _data_base.TQDM = bar


def checkpoint_classes() -> list[type]:
    """Classes of Ultralytics that an ordinary detection or segmentation checkpoint may hold.

    Its layers and models, the loss that older releases left in the model, and the namespace of
    training settings. No function, and no class that reads files or the network when made.
    """
    found = {
        f"{value.__module__}.{value.__qualname__}": value
        for name, module in sorted(sys.modules.items())
        if name in (_tasks.__name__, _loss.__name__, _tal.__name__)
        or name.startswith(_modules.__name__)
        for value in vars(module).values()
        if isinstance(value, type)
        and value is not TorchVision
        and (
            (value.__module__.startswith("ultralytics.nn.") and issubclass(value, Module))
            or value.__module__ in (_loss.__name__, _tal.__name__)
        )
    }
    return [*found.values(), IterableSimpleNamespace]


def build_model(config: dict[str, Any], task: Task, class_count: int) -> BaseModel:
    """Build a model with random weights from a configuration (see `model_config`)."""
    with quiet():
        return _MODELS[task](deepcopy(config), nc=class_count, verbose=False)


def load_text_encoder(kind: str, file: Path) -> Module:
    """A text encoder from a file of its own, on the CPU; by itself Ultralytics would download one.

    kind: "clip", "mobileclip" or "mobileclip2". The package `clip` must be installed.
    """
    from ultralytics.nn.text_model import CLIP, MobileCLIPTS

    cpu = device("cpu")
    encoder: Module = CLIP(str(file), cpu) if kind == "clip" else MobileCLIPTS(cpu, str(file))
    return encoder


def model_config(source: dict[str, Any] | str, task: Task) -> dict[str, Any]:
    """Return the configuration of a model for `task`.

    source: the `yaml` of a loaded model, or the name of an official model such as "yolo11n".
    A segmentation configuration is derived from a detection one of the same family and scale, so
    that a segmenter can start from detection weights.

    Raises UsageError for an unknown name, WeightsError when the family has no such model.
    """
    if isinstance(source, str):
        return _official(source)
    if task == "detect" or "Segment" in str(source["head"][-1][2]):
        return deepcopy(source)
    stem = Path(str(source.get("yaml_file", ""))).stem
    try:
        return _official(f"{stem.removesuffix('-seg')}-seg")
    except UsageError as error:
        raise WeightsError(
            f"no segmentation model is known for {stem or 'this checkpoint'}",
            hint="Start from a segmentation checkpoint, or from yolov8, yolo11 or yolo26 weights.",
        ) from error


def _official(stem: str) -> dict[str, Any]:
    try:
        with quiet():
            config: dict[str, Any] = yaml_model_load(f"{stem}.yaml")
    except (FileNotFoundError, OSError) as error:
        raise UsageError(
            f"no model configuration is called {stem!r}", hint="For example yolo11n or yolov8s-seg."
        ) from error
    return config
