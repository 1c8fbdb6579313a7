"""The answers of frozen layers, kept: what does not train need not be computed twice.

A picture is seen in a few views, each augmented once. What the frozen layers answer to a view is
kept, in memory while that suffices, else in a file that is mapped; an epoch then trains only what
follows. A view is computed when an epoch first asks for it, from nothing but the frozen weights,
the pictures, the seed and the number of the view, so a resumed run finds the same ones.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

# Of the memory and of the disk that are free, what features may take.
_SHARE_OF_MEMORY = 0.4
_SHARE_OF_DISK = 0.5

Front = Callable[[Tensor], dict[int, Tensor]]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many bytes features may take: in the device's memory, or else in files of `folder`."""

    memory: int
    disk: int
    folder: Path

    @classmethod
    def of_this_machine(cls, device: torch.device, limit: int | None = None) -> Budget:
        """limit: bytes that must not be exceeded, wherever features are; None for what is free."""
        folder = Path(tempfile.gettempdir())
        gpu = device.type == "cuda"
        free = torch.cuda.mem_get_info(device)[0] if gpu else psutil.virtual_memory().available
        memory = int(free * _SHARE_OF_MEMORY)
        disk = int(psutil.disk_usage(str(folder)).free * _SHARE_OF_DISK)
        if limit is not None:
            memory, disk = min(memory, limit), min(disk, limit)
        return cls(memory, disk, folder)

    def views(self, wanted: int, view_bytes: int) -> tuple[int, bool]:
        """How many views of `view_bytes` have room, at most `wanted`, and whether in memory.

        Fewer views in memory go before more in files, unless there is no room for two.
        """
        held, filed = (min(wanted, room // max(view_bytes, 1)) for room in (self.memory, self.disk))
        if held >= min(wanted, 2):
            return held, True
        return filed, False


class FeatureViews:
    """Views of a data set as the frozen layers see them."""

    def __init__(
        self,
        dataset_of: Callable[[int], Any],
        front: Front,
        *,
        seed: int,
        batch: int,
        device: torch.device,
        dtype: torch.dtype,
        workers: int = 0,
    ) -> None:
        """dataset_of: the data set of Ultralytics, with its augmentation, for a view by number.
        front: what the frozen layers answer to images between 0 and 1. dtype: in which answers are
        kept."""
        self._dataset_of = dataset_of
        self._front = front
        self._seed = seed
        self._batch = batch
        self._device = device
        self._dtype = dtype
        self._workers = workers
        self._views: dict[int, _View] = {}
        self._folder: Path | None = None

    def plan(self, wanted: int, side: int, budget: Budget) -> int:
        """Decide how many views are kept, and where; 0 when there is no room for a single one.

        wanted: at most so many. side: of the pictures, in pixels.
        """
        blank = torch.zeros((1, 3, side, side), device=self._device)
        numbers = sum(answer.numel() for answer in self._front(blank).values())
        size = numbers * torch.finfo(self._dtype).bits // 8 * len(self._dataset_of(0))
        views, in_memory = budget.views(wanted, size)
        self._folder = None if in_memory else budget.folder
        return views

    def view(self, number: int, progress: Callable[[int], None] = lambda _: None) -> _View:
        """One view of all pictures, computed when it is not there yet."""
        if number not in self._views:
            self._views[number] = self._compute(number, progress)
        return self._views[number]

    def _compute(self, number: int, progress: Callable[[int], None]) -> _View:
        seed_all((self._seed + 1) * 1_000_003 + 7919 * (number + 1))
        dataset = self._dataset_of(number)
        loader = torch.utils.data.DataLoader(
            dataset,
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
                    maps[index] = self._room(len(dataset), answer)
                rows = slice(len(labels), len(labels) + len(samples))
                # rows are pictures, and a picture lies with its channels last
                maps[index][rows] = answer.permute(0, 2, 3, 1).to(self._dtype)
            labels += samples
            progress(len(samples))
        return _View(maps, labels, shape)

    def _room(self, count: int, answer: Tensor) -> Tensor:
        """Where the answers of a layer to all pictures are kept."""
        _, channels, height, width = answer.shape
        shape = count, height, width, channels
        if self._folder is None:
            return torch.empty(shape, dtype=self._dtype, device=self._device)
        descriptor, name = tempfile.mkstemp(prefix="detect-tl-features-", dir=self._folder)
        os.close(descriptor)
        size = count * height * width * channels
        try:
            return torch.from_file(name, shared=True, size=size, dtype=self._dtype).view(shape)
        finally:
            # It stays there while it is mapped, and goes with the process, whatever ends that.
            # (Windows does not let go of its name before; its own clean-up of the folder does.)
            with suppress(PermissionError):
                Path(name).unlink()


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
