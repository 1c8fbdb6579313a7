"""Whether the configuration inside a checkpoint describes a model and nothing else.

Ultralytics builds a model by looking layer names up in its own module and evaluating the text of
`activation`; from an untrusted file, either could run code. So both are checked beforehand.
"""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from detect_tl.models.yolo import checkpoint_classes

_LAYERS = "ultralytics.nn.modules."  # whole models take a configuration of their own, so not those
_ACTIVATION = re.compile(r"(?:torch\.)?nn\.(\w+)\(([\w=.,+\- ]*)\)")


def architecture_problem(architecture: Any) -> str:
    """Return what is wrong with a model configuration; empty when it can be built from."""
    if not isinstance(architecture, dict):
        return "it does not hold its model configuration"
    backbone, head = architecture.get("backbone"), architecture.get("head")
    if not (isinstance(backbone, list) and isinstance(head, list) and backbone and head):
        return "its model configuration has no backbone and head"
    known = {cls.__name__ for cls in checkpoint_classes() if cls.__module__.startswith(_LAYERS)}
    for row in [*backbone, *head]:
        if not (isinstance(row, list | tuple) and len(row) == 4 and isinstance(row[2], str)):
            return f"its model configuration has a layer {row!r}, which is not four values"
        if row[2] not in known and not _is_torch_layer(row[2]):
            return f"its model configuration asks for {row[2]!r}, which is not a known layer"
    return _activation_problem(architecture.get("activation"))


def _is_torch_layer(name: str) -> bool:
    layer = getattr(nn, name.removeprefix("nn."), None) if name.startswith("nn.") else None
    return isinstance(layer, type) and issubclass(layer, nn.Module)


def _activation_problem(activation: Any) -> str:
    if not activation:
        return ""
    found = _ACTIVATION.fullmatch(activation) if isinstance(activation, str) else None
    if found is None or not _is_torch_layer(f"nn.{found.group(1)}"):
        return f"its activation {activation!r} is not one of torch.nn"
    return ""
