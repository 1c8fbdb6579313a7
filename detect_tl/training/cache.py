"""Kept features on disk, where the next run finds them.

A view is a folder named by a hash of everything that its content depends on: the frozen weights,
the pictures and their labels, the augmentation, the seed, the libraries. What changes has another
name, so nothing is ever stale. The folders lie in the user's cache; those that were not used for
the longest time go when there is no room.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from detect_tl.core.cache_folder import entries, make_room
from detect_tl.core.errors import UsageError
from detect_tl.core.files import atomic_folder

# bytes; with more, a laptop's disk would fill without its owner knowing by what
DEFAULT_LIMIT = 20 * 10**9
_CONTENT = "labels.pt"


@dataclass(frozen=True, slots=True)
class View:
    """What frozen layers answer to pictures, each augmented once; or to some of these pictures.

    maps: by layer, (pictures, H, W, C). labels: of every picture, as Ultralytics has them.
    shape: H, W of the pictures.
    """

    maps: Mapping[int, Tensor]
    labels: Sequence[dict[str, Any]]
    shape: tuple[int, int]


class FeatureCache:
    """Folders of views below `folder`, of at most `limit` bytes."""

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        """folder: None for the user's cache."""
        self.folder = _user_folder() if folder is None else folder
        self.limit = limit

    def get(self, key: str) -> View | None:
        """The view of this name, mapped into memory; None when there is none."""
        entry = self.folder / key
        try:
            content = torch.load(entry / _CONTENT, weights_only=True)
            maps = {
                layer: _mapped(entry / f"{layer}.maps", shape, content["dtype"])
                for layer, shape in content["maps"].items()
            }
            os.utime(entry)  # it was used now
        except FileNotFoundError:
            return None
        return View(maps, content["labels"], tuple(content["shape"]))

    def put(self, key: str, parts: Iterable[View]) -> View:
        """Write a view that comes in parts, of which only one is in memory at a time.

        Raises MachineError when the disk is full.
        """
        entry = self.folder / key
        if self.get(key) is None:
            self.drop(key)  # what is left of a damaged one
        try:
            with atomic_folder(entry) as scratch:
                _write(scratch, parts)
        except (UsageError, OSError):
            # a run at the same time may have kept the same view
            if not (entry / _CONTENT).exists():
                raise
        found = self.get(key)
        assert found is not None
        return found

    def drop(self, key: str) -> None:
        """Remove a view; what is mapped of it stays so."""
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def size(self) -> int:
        """Bytes of all views."""
        return sum(entry.size for entry in entries(self.folder))

    def make_room(self, size: int) -> None:
        """Remove the views that were not used for longest, until `size` bytes fit the limit."""
        make_room(self.folder, size, self.limit)


Part: TypeAlias = Tensor | np.ndarray[Any, Any] | str | int


def fingerprint(parts: Iterable[Part]) -> str:
    """A name for a sequence of values; arrays are read bit by bit."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            # numpy has no bfloat16
            bits = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            digest.update(f"{part.dtype}{tuple(part.shape)}\0".encode() + bits.tobytes())
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}\0".encode() + part.tobytes())
        else:
            digest.update(f"{part!r}\0".encode())
    return digest.hexdigest()[:32]


def _user_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("detect-tl") / "features"


def _mapped(path: Path, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    numbers = math.prod(shape)
    if path.stat().st_size != numbers * dtype.itemsize:
        raise FileNotFoundError(path)  # cut short by something that was not us
    return torch.from_file(str(path), shared=False, size=numbers, dtype=dtype).view(*shape)


def _write(folder: Path, parts: Iterable[View]) -> None:
    labels: list[dict[str, Any]] = []
    with ExitStack() as stack:
        files: dict[int, Any] = {}
        for part in parts:
            for layer, answer in part.maps.items():
                if layer not in files:
                    files[layer] = stack.enter_context((folder / f"{layer}.maps").open("wb"))
                rows = answer.cpu().contiguous()
                files[layer].write(rows.view(-1).view(torch.uint8).numpy().data)
            labels += part.labels
    content = {
        "maps": {layer: (len(labels), *rows.shape[1:]) for layer, rows in part.maps.items()},
        "dtype": next(iter(part.maps.values())).dtype,
        "labels": labels,
        "shape": part.shape,
    }
    torch.save(content, folder / _CONTENT)
