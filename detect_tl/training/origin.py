"""What a view of kept features depends on, as one name: see `cache.py`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detect_tl.core.files import sha256_files
from detect_tl.models.cut import Cut
from detect_tl.models.yolo import unwrap_model
from detect_tl.training.cache import Part, fingerprint
from detect_tl.training.folder import package_versions

# Raised when the way in which features are computed or written changes.
_FORMAT = 3

# Settings of Ultralytics by which no picture looks different. All others count, those of later
# releases too: a view that is computed once more costs seconds, a stale one costs trust.
_NOT_OF_PICTURES = frozenset(
    """
    amp batch box cache channels_last close_mosaic cls cls_pw compile cos_lr data deterministic
    device dfl distill_model epochs exist_ok freeze lr0 lrf model momentum name nbs optimizer
    patience plots pretrained profile project resume save save_dir save_json save_period seed time
    val verbose warmup_bias_lr warmup_epochs warmup_momentum weight_decay workers
    """.split()
)


def origin_of_views(trainer: Any, cut: Cut, dtype: torch.dtype) -> str:
    """Name everything that decides what frozen layers answer, save seed and number of the view."""
    return fingerprint(_parts(trainer, cut, dtype))


def _parts(trainer: Any, cut: Cut, dtype: torch.dtype) -> Iterator[Part]:
    yield _FORMAT
    yield json.dumps(package_versions())
    # sums in another order differ in their last bits
    yield f"{trainer.device} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    yield f"{dtype} {trainer.mixed_precision} {cut}"
    for name, value in unwrap_model(trainer.model).state_dict().items():
        if int(name.split(".")[1]) < cut.first:
            yield name
            yield value
    for teacher in trainer.teachers:
        yield from teacher.model.state_dict().values()
    if not trainer.team.alone:
        yield str(trainer.team)  # whose share of the pictures
    settings = {k: v for k, v in vars(trainer.args).items() if k not in _NOT_OF_PICTURES}
    yield json.dumps(settings, sort_keys=True, default=str)
    yield "" if trainer.augment is None else trainer.augment.text
    yield repr(sorted(trainer.coverages.items()))  # decides which pictures mosaics are made of
    yield from _of_pictures(trainer.train_loader.dataset)


def _of_pictures(dataset: Any) -> Iterator[Part]:
    """The pictures and labels of a data set of Ultralytics, in their order."""
    files = [Path(name) for name in dataset.im_files]
    yield sha256_files(files, Path(os.path.commonpath(files)).parent)
    for file, labels in zip(files, dataset.labels, strict=True):
        yield file.name
        yield np.asarray(labels["cls"])
        yield np.asarray(labels["bboxes"])
        yield from map(np.asarray, labels["segments"])
