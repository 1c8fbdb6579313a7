"""Reading a pickled model without letting it run anything.

torch's weights-only loader makes only what it is allowed to. Two things are added here. First, of a
class on our list only *empty* instances can be made, filled from the file afterwards: a pickle may
otherwise call the constructor, and constructors of models evaluate strings of their configuration.
Second, names are looked up in a table, so that nothing is imported because a file says so.
"""

from __future__ import annotations

import pathlib
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from detect_tl.models.yolo import checkpoint_classes

_LOCK = threading.Lock()
_NUMBERS = np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"
_NUMBER_TYPES = {type(np.dtype(code)) for code in _NUMBERS}


class ForbiddenError(Exception):
    """The file asks for things that no model needs; `names` are their dotted names, and calls."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(names)
        super().__init__(", ".join(self.names))


def load_restricted(path: Path) -> Any:
    """Load what torch.save wrote, with tensors on the CPU, making only known classes.

    Raises ForbiddenError when the file asks for anything else; pickle.UnpicklingError,
    RuntimeError, ValueError, EOFError and their like when it is damaged.
    """
    # torch keeps one list for the whole process: it must not change while another thread reads.
    with _LOCK:
        wanted = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        table = _table()
        if unknown := [name for name in wanted if name not in table]:
            raise ForbiddenError(unknown)
        with torch.serialization.safe_globals(_entries(wanted)):
            return torch.load(path, map_location="cpu", weights_only=True)


def _entries(wanted: Iterable[str]) -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What to tell torch: by its name, the stand-in; out of a file's reach, the class it makes.

    The loader fills an instance only when its class is listed, too. A pickle names things as
    module, dot, name: an entry without a dot can be used by the loader, but not named by a file.
    """
    stand_ins = {name: _table()[name] for name in wanted}
    made = {entry.makes for entry in stand_ins.values() if hasattr(entry, "makes")}
    if "numpy.dtype" in stand_ins:
        made |= _NUMBER_TYPES
    hidden = [(cls, str(number)) for number, cls in enumerate(made)]
    return [*((entry, name) for name, entry in stand_ins.items()), *hidden]


@cache
def _table() -> dict[str, Any]:
    """By dotted name, what stands in for everything that a checkpoint may ask for."""
    ours = {_dotted(cls): cls for cls in checkpoint_classes()}
    flat = {f"ultralytics.nn.modules.{cls.__name__}": cls for cls in ours.values()}  # before 8.0.90
    moved = {  # before 8.0.137
        name.replace("ultralytics.utils", "ultralytics.yolo.utils"): cls
        for name, cls in ours.items()
        if name.startswith("ultralytics.utils")
    }
    classes = {**flat, **moved, **_torch_layers(), **ours}
    return {name: _stand_in(cls) for name, cls in classes.items()} | _plain_values()


def _torch_layers() -> dict[str, type]:
    return {
        _dotted(value): value
        for name, module in sorted(sys.modules.items())
        if name.startswith("torch.nn.modules.")
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__.startswith("torch.nn.modules.")
    }


def _plain_values() -> dict[str, Any]:
    """Stand-ins for what the settings and results beside a model hold."""
    paths = {
        f"{module}.{kind}": _path
        for module in ("pathlib", "pathlib._local")
        for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
    }
    return {
        **paths,
        "numpy.dtype": _dtype,
        "numpy.core.multiarray.scalar": _scalar,
        "numpy._core.multiarray.scalar": _scalar,
        "builtins.getattr": _method,
    }


def _dotted(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _stand_in(cls: Any) -> type:
    """Return a class that makes an empty instance of `cls` and takes no arguments."""

    def make(_: type, *arguments: object) -> Any:
        if arguments:
            raise ForbiddenError([f"{_dotted(cls)}(…)"])
        return cls.__new__(cls)

    return type(cls.__name__, (), {"__new__": make, "makes": cls})


def _path(*parts: str) -> pathlib.PurePath:
    """Any path of any system, as one that can be read but not opened."""
    return pathlib.PurePosixPath(*(part.replace("\\", "/") for part in parts))


def _dtype(name: str, *_: object) -> np.dtype[Any]:
    found = np.dtype(str(name), copy=True)
    if type(found) not in _NUMBER_TYPES:
        raise ForbiddenError([f"numpy.dtype({name!r})"])
    return found


def _scalar(dtype: np.dtype[Any], data: bytes) -> bool | int | float:
    """A NumPy number as a plain one."""
    value: bool | int | float = np.frombuffer(data, dtype, count=1)[0].item()
    return value


def _method(owner: Any, name: str) -> Any:
    """The attributes that checkpoints look up: `Detect.forward` of a class in old segmenters, and
    the methods that fusing puts into layers."""
    cls: Any = getattr(owner, "makes", type(owner))
    if name not in ("forward", "forward_fuse") or not issubclass(cls, nn.Module):
        raise ForbiddenError([f"getattr(…, {name!r})"])
    method = getattr(cls, name)
    return method.__get__(owner) if isinstance(owner, nn.Module) else method
