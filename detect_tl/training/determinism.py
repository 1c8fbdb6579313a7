"""Randomness as a function of the seed and the epoch, so that a resumed run repeats the rest."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

# prime, so that neighbouring seeds, epochs and ranks do not share a stream
_EPOCH_STRIDE, _RANK_STRIDE = 1_000_003, 15_485_863


def seed_epoch(loader: Any, seed: int, epoch: int, rank: int = 0) -> None:
    """Seed everything that draws random numbers in one epoch.

    loader: Ultralytics' endless loader. Its iterator is dropped, for the order of the images would
    otherwise depend on how many epochs this process has run. rank: of this process in a team, whose
    members draw their own, save for the order.
    """
    order = (seed * _EPOCH_STRIDE + epoch) % 2**32
    value = (order + rank * _RANK_STRIDE) % 2**32
    random.seed(value)
    np.random.seed(value)  # Ultralytics' augmentations use the global generator
    torch.manual_seed(value)
    loader.generator.manual_seed(order)
    loader.reset()


def forget_mosaic_buffer(dataset: Any) -> None:
    """Let mosaic choose from all images instead of those that happened to be read last."""
    for transform in nested(getattr(dataset, "transforms", None)):
        if hasattr(transform, "buffer_enabled"):
            transform.buffer_enabled = False


def nested(transform: Any) -> list[Any]:
    """A transform of Ultralytics and all that it is made of."""
    children = list(getattr(transform, "transforms", None) or [])
    before = getattr(transform, "pre_transform", None)
    if before is not None:
        children.append(before)
    return [transform, *(deeper for child in children for deeper in nested(child))]
