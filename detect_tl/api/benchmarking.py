"""How fast a model runs on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.exporting import exported
from detect_tl.api.model_files import find_model, sample_picture
from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.runtime.benchmark import Speed


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """Speeds of a model file on a picture of (width, height) pixels."""

    model: Path
    picture: str
    size: tuple[int, int]
    speeds: tuple[Speed, ...]

    @property
    def fastest(self) -> Speed | None:
        """The most pictures a second, of those whose answers agree."""
        usable = [s for s in self.speeds if s.fps is not None and not s.against]
        return max(usable, key=lambda speed: speed.fps or 0, default=None)

    def as_json(self) -> dict[str, Any]:
        return {
            "model": str(self.model),
            "picture": self.picture,
            "size": list(self.size),
            "fastest": self.fastest.as_json() if self.fastest else None,
            "speeds": [speed.as_json() for speed in self.speeds],
        }


def benchmark(
    model: str | Path,
    *,
    image: Path | None = None,
    backends: Sequence[str] | None = None,
    imgsz: int | tuple[int, int] | None = None,
    rect: bool | None = None,
    device: str = "",
    seconds: float = 3.0,
    trust: bool = False,
    progress: Progress | None = None,
) -> BenchmarkResult:
    """Time every engine that runs a model, each in a process of its own.

    model: run folder, .pt, .onnx, .xml or the name of weights. image: the picture to detect on;
    None: a validation picture of the run, else a photo that comes with Ultralytics. seconds: for
    each of an engine's settings. The other values are those of `detect_tl.runtime.benchmark`.

    Raises UsageError where there is no picture, DataError for one that cannot be read, and what
    `predict` raises for a model.
    """
    from detect_tl.core.images import read_image
    from detect_tl.runtime.backends import engine_device
    from detect_tl.runtime.benchmark import benchmark as run

    sides = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    files = find_model(model, trust=trust, progress=progress)
    chosen = Path(image) if image is not None else sample_picture(files)
    if chosen is None:
        raise UsageError("there is no picture to detect on", hint="Name one with --image.")
    if not chosen.is_file():
        raise DataError("there is no such picture", path=chosen, hint="Check --image.")
    pixels = read_image(chosen)
    path = exported(files, sides, trust=trust, progress=progress)
    speeds = run(
        path,
        pixels,
        backends=backends,
        imgsz=sides,
        rect=rect,
        device=engine_device(device),
        seconds=seconds,
        progress=progress,
    )
    height, width = pixels.shape[:2]
    return BenchmarkResult(path, chosen.name, (width, height), tuple(speeds))
