"""The verbs of the command line as functions: typed values in, results with `as_json()` out.

A verb is loaded when it is first used, and joins the rooms it needs when it is called, so that
importing this package loads nothing else. Errors are those of `detect_tl.core.errors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detect_tl.api.adapting import adapt, adapt_plan
    from detect_tl.api.augmentation import augment_list, augment_preview, augment_show
    from detect_tl.api.benchmarking import benchmark
    from detect_tl.api.benefits import benefit
    from detect_tl.api.checking import check, check_list
    from detect_tl.api.comparing import compare
    from detect_tl.api.curation import filter, merge, repair, split  # noqa: A004
    from detect_tl.api.data import convert, formats, formats_of
    from detect_tl.api.demo import quickstart
    from detect_tl.api.evaluation import evaluate
    from detect_tl.api.exporting import export
    from detect_tl.api.labelling import label
    from detect_tl.api.machine import doctor
    from detect_tl.api.oneshot_plans import oneshot_plan
    from detect_tl.api.oneshots import oneshot, oneshot_study
    from detect_tl.api.prediction import detector, predict
    from detect_tl.api.ranking import weights_rank
    from detect_tl.api.rerunning import rerun
    from detect_tl.api.training import resume, train, train_plan
    from detect_tl.api.tuning import tune, tune_plan
    from detect_tl.api.viewing import show, stats
    from detect_tl.api.weights import weights_fetch, weights_info, weights_list, weights_path

_MODULES = {
    "adapting": (
        "adapt",
        "adapt_plan",
    ),
    "augmentation": (
        "augment_list",
        "augment_preview",
        "augment_show",
    ),
    "benchmarking": ("benchmark",),
    "benefits": ("benefit",),
    "checking": (
        "check",
        "check_list",
    ),
    "comparing": ("compare",),
    "curation": (
        "filter",
        "merge",
        "repair",
        "split",
    ),
    "data": (
        "convert",
        "formats",
        "formats_of",
    ),
    "demo": ("quickstart",),
    "evaluation": ("evaluate",),
    "exporting": ("export",),
    "labelling": ("label",),
    "machine": ("doctor",),
    "oneshot_plans": ("oneshot_plan",),
    "oneshots": (
        "oneshot",
        "oneshot_study",
    ),
    "prediction": (
        "detector",
        "predict",
    ),
    "ranking": ("weights_rank",),
    "rerunning": ("rerun",),
    "training": (
        "resume",
        "train",
        "train_plan",
    ),
    "tuning": (
        "tune",
        "tune_plan",
    ),
    "viewing": (
        "show",
        "stats",
    ),
    "weights": (
        "weights_fetch",
        "weights_info",
        "weights_list",
        "weights_path",
    ),
}
_HOMES = {verb: module for module, verbs in _MODULES.items() for verb in verbs}

__all__ = [
    "adapt",
    "adapt_plan",
    "augment_list",
    "augment_preview",
    "augment_show",
    "benchmark",
    "benefit",
    "check",
    "check_list",
    "compare",
    "convert",
    "detector",
    "doctor",
    "evaluate",
    "export",
    "filter",
    "formats",
    "formats_of",
    "label",
    "merge",
    "oneshot",
    "oneshot_plan",
    "oneshot_study",
    "predict",
    "quickstart",
    "repair",
    "rerun",
    "resume",
    "show",
    "split",
    "stats",
    "train",
    "train_plan",
    "tune",
    "tune_plan",
    "weights_fetch",
    "weights_info",
    "weights_list",
    "weights_path",
    "weights_rank",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
