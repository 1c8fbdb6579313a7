"""Which engine runs a model, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from detect_tl.api.exporting import exported
from detect_tl.api.model_files import ModelFiles
from detect_tl.core.allocator import keeping_freed_memory
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.runtime.backends import Backend

TORCH = "torch"
"""The name of what runs a checkpoint as it is."""


@contextmanager
def opened_model(
    files: ModelFiles,
    name: str = "auto",
    *,
    imgsz: int | tuple[int, int] | None = None,
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Backend, str]]:
    """The model in an engine, and the name of the engine.

    name: auto: torch for a checkpoint, and for an exported file the first that reads it. Any other
    engine than torch runs a checkpoint's export, which is written when there is none.

    Raises UsageError for an unknown engine, and for torch where there is no checkpoint.
    """
    if name == "auto" and files.checkpoint is not None:
        name = TORCH
    backend = _torch(files, imgsz, device, trust=trust) if name == TORCH else None
    if backend is None:
        from detect_tl.runtime.backends import engine_device, load_backend, readers

        sides = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
        path = exported(files, sides, trust=trust, progress=progress)
        name = readers(path)[0] if name == "auto" else name
        backend = load_backend(path, name, device=engine_device(device))
    kept = keeping_freed_memory() if name == TORCH else nullcontext()
    try:
        with kept:
            yield backend, name
    finally:
        backend.close()


def _torch(
    files: ModelFiles, imgsz: int | tuple[int, int] | None, device: str, *, trust: bool
) -> Backend:
    if files.checkpoint is None:
        raise UsageError(
            f"torch does not run {files.name}", hint="Name the run folder or the .pt file."
        )
    from detect_tl.models.torch_backend import TorchBackend
    from detect_tl.training.beginning import check_device

    name = torch_device(device)
    check_device(name)
    side = imgsz or files.own_imgsz(trust=trust)
    return TorchBackend(files.checkpoint, imgsz=side, device=name, trust=trust)


def torch_device(device: str) -> str:
    """A device as torch's side calls it: "", "cpu", "mps" or a CUDA number."""
    return {"auto": "", "cuda": "0"}.get(device, device.removeprefix("cuda:"))
