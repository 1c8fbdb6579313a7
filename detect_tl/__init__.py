"""From the annotations you have to a detector that runs live.

`detect_tl.api` has the verbs of the command line as functions; those whose name is not also that
of a room of this package stand here too. `TransferTrainer` plugs into Ultralytics:
`YOLO("yolo11n.pt").train(trainer=detect_tl.TransferTrainer, ...)`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime reports its use to its makers unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from detect_tl import api
    from detect_tl.api import (
        adapt,
        benchmark,
        benefit,
        check,
        compare,
        convert,
        detector,
        doctor,
        evaluate,
        filter,  # noqa: A004 - the verb is called so
        label,
        merge,
        oneshot,
        predict,
        quickstart,
        repair,
        rerun,
        resume,
        show,
        split,
        stats,
        train,
        tune,
    )
    from detect_tl.training.engine import TransferTrainer

__all__ = [
    "TransferTrainer",
    "__version__",
    "adapt",
    "api",
    "benchmark",
    "benefit",
    "check",
    "compare",
    "convert",
    "detector",
    "doctor",
    "evaluate",
    "filter",
    "label",
    "merge",
    "oneshot",
    "predict",
    "quickstart",
    "repair",
    "rerun",
    "resume",
    "show",
    "split",
    "stats",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: importing this package loads nothing else."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "api":
        return import_module("detect_tl.api")
    room = "detect_tl.training.engine" if name == "TransferTrainer" else "detect_tl.api"
    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return sorted(__all__)
