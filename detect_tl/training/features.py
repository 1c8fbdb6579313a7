"""The answers of frozen layers, kept: what does not train need not be computed twice.

A picture is seen in a few views, each augmented once. What the frozen layers answer to a view is
kept, in a file that is mapped (the system's page cache holds it in memory while there is room), or
on a GPU in its memory; an epoch then trains only what follows. A view is computed when an epoch
first asks for it, from nothing but the frozen weights, the pictures, the seed and the number of the
view, so a resumed run finds the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from detect_tl.models.cut import first_rows, pad_rows
from detect_tl.training.cache import FeatureCache, View, fingerprint
from detect_tl.training.canvas import shrunk

# Of the memory and of the disk that are free, what features may take.
_SHARE_OF_MEMORY = 0.4
_SHARE_OF_DISK = 0.5

Front = Callable[[Tensor], dict[int, Tensor]]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many bytes features may take: on disk, or else in the memory of the device.

    near: whether memory goes first, as on a GPU. Elsewhere a mapped file is as fast, and the next
    run finds it.
    """

    memory: int
    disk: int
    near: bool = False

    @classmethod
    def of_this_machine(
        cls, device: torch.device, cache: FeatureCache, processes: int = 1
    ) -> Budget:
        """What is free, in part; and never more than the limit of the cache, wherever it lies.

        processes: that share it, each of which is told its part.
        """
        gpu = device.type == "cuda"
        free = torch.cuda.mem_get_info(device)[0] if gpu else psutil.virtual_memory().available
        memory = min(int(free * _SHARE_OF_MEMORY), cache.limit)
        # what other runs have kept there makes room
        empty = psutil.disk_usage(str(_existing(cache))).free + cache.size()
        disk = min(int(empty * _SHARE_OF_DISK), cache.limit)
        return cls(memory if gpu else memory // processes, disk // processes, near=gpu)

    def views(self, wanted: int, view_bytes: int) -> tuple[int, bool]:
        """How many views of `view_bytes` have room, at most `wanted`, and whether in memory.

        Fewer views in the better place go before more in the other, unless it has no room for two.
        """
        places = ((self.memory, True), (self.disk, False))
        first, second = places if self.near else places[::-1]
        for room, held in (first, second):
            found = min(wanted, room // max(view_bytes, 1))
            if found >= min(wanted, 2):
                return found, held
        room, held = max(places, key=lambda place: place[0])
        return min(wanted, room // max(view_bytes, 1)), held


class FeatureViews:
    """Views of a data set as the frozen layers see them.

    count: how many there are before a refresh begins again with the first one, which differs from
    the others in what is done to pictures.
    """

    def __init__(
        self,
        dataset_of: Callable[[int], Any],
        front: Front,
        cache: FeatureCache,
        *,
        key: str,
        seed: int,
        batch: int,
        device: torch.device,
        dtype: torch.dtype,
        workers: int = 0,
        even: bool = False,
        size_of: Callable[[int], float] = lambda _: 1.0,
        stride: int = 32,
    ) -> None:
        """dataset_of: the data set of Ultralytics, with its augmentation, for a view by number.
        front: what the frozen layers answer to images between 0 and 1. key: names everything that
        these two depend on. dtype: in which answers are kept. even: ask for full batches only.
        size_of: side of the pictures of a view by number, against that in use."""
        self._dataset_of = dataset_of
        self._front = front
        self._cache = cache
        self._key = key
        self._seed = seed
        self._batch = batch
        self._device = device
        self._dtype = dtype
        self._workers = workers
        self._even = even
        self._size_of = size_of
        self._stride = stride
        self._views: dict[int, View] = {}
        self._in_memory = True
        self._bytes = 0
        self.count = 1

    def plan(self, wanted: int, size: tuple[int, int], budget: Budget) -> int:
        """Decide how many views are kept, and where; 0 when there is no room for a single one.

        wanted: at most so many. size: (width, height) of the pictures.
        """
        width, height = size
        blank = torch.zeros((1, 3, height, width), device=self._device)
        numbers = sum(answer.numel() for answer in self._front(blank).values())
        self._bytes = numbers * self._dtype.itemsize * len(self._dataset_of(0))
        views, self._in_memory = budget.views(wanted, self._bytes)
        return views

    def view(self, number: int) -> View:
        """One view of all pictures, computed when it is not there yet."""
        if number not in self._views:
            self._views[number] = self._held(number) if self._in_memory else self._filed(number)
        return self._views[number]

    def forget_before(self, number: int) -> None:
        """Let go of the views below `number`: an epoch will not ask for them again."""
        for old in [each for each in self._views if each < number]:
            del self._views[old]
            self._cache.drop(self._name(old))

    def _name(self, number: int) -> str:
        first = number % self.count == 0
        parts = (first, f"{self._size_of(number):.4f}", self._batch, self._workers)
        return fingerprint((self._key, self._seed, number, *parts))

    def _filed(self, number: int) -> View:
        found = self._cache.get(self._name(number))
        if found is None:
            self._cache.make_room(self._bytes)
            found = self._cache.put(self._name(number), self._compute(number))
        return found

    def _held(self, number: int) -> View:
        count = len(self._dataset_of(number))
        maps: dict[int, Tensor] = {}
        labels: list[dict[str, Any]] = []
        for part in self._compute(number):
            rows = slice(len(labels), len(labels) + len(part.labels))
            for layer, answers in part.maps.items():
                if layer not in maps:  # room for all at once: joining parts would take it twice
                    maps[layer] = answers.new_empty((count, *answers.shape[1:]))
                maps[layer][rows] = answers
            labels += part.labels
        return View(maps, labels, part.shape)

    def _compute(self, number: int) -> Iterator[View]:
        """A view, batch by batch."""
        seed_all((self._seed + 1) * 1_000_003 + 7919 * (number + 1))
        loader = torch.utils.data.DataLoader(
            self._dataset_of(number),
            batch_size=self._batch,
            num_workers=self._workers,
            collate_fn=list,
            worker_init_fn=_seed_worker,
            generator=torch.Generator().manual_seed(self._seed + number),
        )
        for samples in loader:
            images = torch.stack([sample.pop("img") for sample in samples]).to(self._device)
            images = shrunk(images.float() / 255, self._size_of(number), self._stride)
            asked = pad_rows(images, self._batch) if self._even else images
            answers = first_rows(self._front(asked), len(images))
            # rows are pictures, and a picture lies with its channels last
            maps = {k: v.permute(0, 2, 3, 1).to(self._dtype) for k, v in answers.items()}
            yield View(maps, samples, (int(images.shape[2]), int(images.shape[3])))


class FeatureBatches:
    """Stands in the place of Ultralytics' loader of training pictures.

    Its batches hold `maps` in the place of pictures; `img` has the shape of pictures, and no
    content.
    """

    num_workers = 0

    def __init__(self, view: View, live: Any, batch: int, seed: int, *, even: bool = False) -> None:
        """live: the loader in whose place it stands. seed: of the order of the pictures. even: fill
        the last batch with pictures from the beginning of that order."""
        self._view = view
        self._live = live
        self._batch = batch
        self._seed = seed
        self._even = even

    @property
    def dataset(self) -> Any:
        return self._live.dataset

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        order = np.random.default_rng(self._seed).permutation(len(self._view.labels))
        if self._even and len(order) > self._batch:
            order = np.resize(order, -(-len(order) // self._batch) * self._batch)
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


def _existing(cache: FeatureCache) -> Any:
    """The nearest folder above the cache that is there already."""
    return next(path for path in (cache.folder, *cache.folder.absolute().parents) if path.is_dir())
