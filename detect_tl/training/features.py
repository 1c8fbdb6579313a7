"""The answers of frozen layers, kept: what does not train need not be computed twice.

A picture is seen in a few views, each augmented once. What the frozen layers answer to a view is
kept, in memory while that suffices, else in a file that is mapped; an epoch then trains only what
follows. A view is computed when an epoch first asks for it, from nothing but the frozen weights,
the pictures, the seed and the number of the view, so a resumed run finds the same ones.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

# Of the memory that is free, what features may take before they go to a file.
_SHARE_OF_MEMORY = 0.4

Front = Callable[[Tensor], dict[int, Tensor]]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many bytes features may take: in memory, and in a file of `folder` beyond that."""

    memory: int
    disk: int
    folder: Path | None = None

    @classmethod
    def of_this_machine(cls, limit: int | None = None, folder: Path | None = None) -> Budget:
        """limit: for both together, in bytes; None for what is free."""
        memory = int(psutil.virtual_memory().available * _SHARE_OF_MEMORY)
        disk = psutil.disk_usage(str(folder or tempfile.gettempdir())).free // 2
        if limit is not None:
            memory, disk = min(memory, limit), min(disk, limit)
        return cls(memory, disk, folder)

    def views(self, wanted: int, view_bytes: int) -> int:
        """How many views of `view_bytes` have room, at most `wanted`; 0 for not even one."""
        return min(wanted, max(self.memory, self.disk) // max(view_bytes, 1))


class FeatureViews:
    """Views of a data set as the frozen layers see them."""

    def __init__(
        self,
        dataset: Any,
        front: Front,
        *,
        seed: int,
        batch: int,
        device: torch.device,
        dtype: torch.dtype,
        workers: int = 0,
    ) -> None:
        """dataset: of Ultralytics, with its augmentation. front: what the frozen layers answer to
        images between 0 and 1. dtype: in which answers are kept."""
        self._dataset = dataset
        self._front = front
        self._seed = seed
        self._batch = batch
        self._device = device
        self._dtype = dtype
        self._workers = workers
        self._views: dict[int, _View] = {}
        self._budget: Budget | None = None

    def view(self, number: int, progress: Callable[[int], None] = lambda _: None) -> _View:
        """One view of all pictures, computed when it is not there yet."""
        if number not in self._views:
            self._views[number] = self._compute(number, progress)
        return self._views[number]

    def _compute(self, number: int, progress: Callable[[int], None]) -> _View:
        seed_all((self._seed + 1) * 1_000_003 + 7919 * (number + 1))
        loader = torch.utils.data.DataLoader(
            self._dataset,
            batch_size=self._batch,
            num_workers=self._workers,
            collate_fn=list,
            worker_init_fn=_seed_worker,
            generator=torch.Generator().manual_seed(self._seed + number),
        )
        maps: dict[int, Tensor] = {}
        labels: list[dict[str, Any]] = []
        shape: tuple[int, int] = (0, 0)
        for samples in loader:
            images = torch.stack([sample.pop("img") for sample in samples]).to(self._device)
            shape = int(images.shape[2]), int(images.shape[3])
            answers = self._front(images.float() / 255)
            for index, answer in answers.items():
                if index not in maps:
                    maps[index] = self._room(len(self._dataset), answer)
                rows = slice(len(labels), len(labels) + len(samples))
                # rows are pictures, and a picture lies with its channels last
                maps[index][rows] = answer.permute(0, 2, 3, 1).to(self._dtype)
            labels += samples
            progress(len(samples))
        return _View(maps, labels, shape)

    def _room(self, count: int, answer: Tensor) -> Tensor:
        _, channels, height, width = answer.shape
        return torch.empty((count, height, width, channels), dtype=self._dtype, device=self._device)


@dataclass(frozen=True, slots=True)
class _View:
    """maps: by layer, (images, H, W, C). labels: of every picture. shape: H, W of the pictures."""

    maps: dict[int, Tensor]
    labels: Sequence[dict[str, Any]]
    shape: tuple[int, int]


class FeatureBatches:
    """Stands in the place of Ultralytics' loader of training pictures.

    Its batches hold `maps` in the place of pictures; `img` has the shape of pictures, and no
    content.
    """

    num_workers = 0

    def __init__(self, view: _View, live: Any, batch: int, seed: int) -> None:
        """live: the loader in whose place it stands. seed: of the order of the pictures."""
        self._view = view
        self._live = live
        self._batch = batch
        self._seed = seed

    @property
    def dataset(self) -> Any:
        return self._live.dataset

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        order = np.random.default_rng(self._seed).permutation(len(self._view.labels))
        blank = torch.zeros(1, dtype=torch.uint8)
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            picture = blank.expand(3, *self._view.shape)
            batch = self.dataset.collate_fn([self._sample(row) for row in rows])
            batch["img"] = picture.expand(len(rows), *picture.shape)
            index = torch.from_numpy(rows)
            batch["maps"] = {
                layer: maps[index.to(maps.device)].permute(0, 3, 1, 2)
                for layer, maps in self._view.maps.items()
            }
            yield batch

    def _sample(self, row: int) -> dict[str, Any]:
        """The labels of a picture. Collating counts up `batch_idx` in place, so it gets a copy."""
        labels = self._view.labels[row]
        own = {"img": torch.zeros((1, 1, 1)), "batch_idx": labels["batch_idx"].clone()}
        return {**labels, **own}

    def reset(self) -> None:
        self._live.reset()

    def close(self) -> None:
        if hasattr(self._live, "close"):
            self._live.close()


def seed_all(value: int) -> None:
    """Seed every generator that augmentation draws from."""
    random.seed(value % 2**32)
    np.random.seed(value % 2**32)  # Ultralytics' augmentations use the global generator
    torch.manual_seed(value)


def _seed_worker(number: int) -> None:
    del number
    value = torch.initial_seed() % 2**32
    random.seed(value)
    np.random.seed(value)
