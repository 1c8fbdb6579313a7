"""Detecting on pictures, videos, cameras and streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detect_tl.api.engines import runtime_device
from detect_tl.api.exporting import exported
from detect_tl.api.model_files import ModelFiles, find_model, sample_picture
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.runtime.detector import Detector
    from detect_tl.runtime.result import PredictResult


def predict(
    model: str | Path,
    source: str | Path,
    *,
    out: Path | None = None,
    save: Collection[str] | None = None,
    show: bool = False,
    track: bool = False,
    lines: Mapping[str, Sequence[float]] | None = None,
    zones: Mapping[str, Sequence[float]] | None = None,
    tiles: int | None = None,
    tile_overlap: float = 0.2,
    conf: float | Mapping[str, float] | Literal["auto"] = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    classes: Collection[str | int] | None = None,
    imgsz: int | tuple[int, int] | None = None,
    rect: bool | None = None,
    backend: str = "auto",
    device: str = "",
    limit: int | None = None,
    stdin_size: tuple[int, int] | None = None,
    stdin_fps: float = 25.0,
    reconnect: float = 60.0,
    trust: bool = False,
    progress: Progress | None = None,
) -> PredictResult:
    """Detect on everything that `source` gives, without torch.

    model: run folder, .pt, .onnx or the name of weights; a checkpoint is exported first, through
    the parity gate, unless that was done before. source: image, folder, pattern, video, camera
    number, stream, "-" for raw bgr24 frames on standard input, of which `stdin_size` says width and
    height and `stdin_fps` how many are a second, or a .txt file that names several of those.
    out: folder for the results; None writes nothing. conf: "auto" takes the best threshold of every
    class, which training has measured and kept in the run. reconnect: seconds to go on trying when
    a live stream is lost. The other values are those of `detect_tl.runtime.predict.predict`, which
    see, and which says what is raised.
    """
    from detect_tl.core.files import refuse_existing
    from detect_tl.core.geometry import Size
    from detect_tl.runtime.predict import predict as run
    from detect_tl.runtime.raw import RawFormat
    from detect_tl.runtime.several import refuse_window

    # Before an export is made for nothing.
    if out is not None:
        refuse_existing(Path(out))
    if show:
        refuse_window(source)
    pipe = None if stdin_size is None else RawFormat(Size(*stdin_size), stdin_fps)
    sides = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    files = find_model(model, trust=trust, progress=progress)
    least = best_confidences(files) if conf == "auto" else conf
    path = exported(files, sides, trust=trust, progress=progress)
    return run(
        path,
        source,
        out=None if out is None else Path(out),
        save=save,
        show=show,
        track=track,
        lines=lines,
        zones=zones,
        tiles=tiles,
        tile_overlap=tile_overlap,
        conf=least,
        iou=iou,
        max_det=max_det,
        classes=classes,
        imgsz=sides,
        rect=rect,
        backend=backend,
        device=runtime_device(device),
        limit=limit,
        pipe=pipe,
        reconnect=reconnect,
        progress=progress,
    )


def detector(
    model: str | Path,
    *,
    conf: float | Mapping[str, float] | Literal["auto"] = 0.25,
    imgsz: int | tuple[int, int] | None = None,
    backend: str = "auto",
    device: str = "",
    trust: bool = False,
    progress: Progress | None = None,
) -> Detector:
    """A model that is ready to detect, without torch; the caller closes it.

    model and the other values are those of `predict`, which see, and which says what is raised.
    """
    from detect_tl.core.images import read_image
    from detect_tl.runtime.opening import Asked, chosen_engine

    sides = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    files = find_model(model, trust=trust, progress=progress)
    least = best_confidences(files) if conf == "auto" else conf
    path = exported(files, sides, trust=trust, progress=progress)
    asked = Asked(conf=least, imgsz=sides, backend=backend, device=runtime_device(device))
    picture = sample_picture(files)
    sample = None if picture is None else read_image(picture)
    choice = chosen_engine(path, sample, asked, threads=None)
    if choice.reason:
        (progress or Silent()).say(choice.reason)
    try:
        return asked.detector(choice.backend)
    except UsageError:
        choice.backend.close()
        raise


def best_confidences(files: ModelFiles) -> Mapping[str, float]:
    """The thresholds that a run keeps; raise UsageError when the model has none."""
    from detect_tl.core.files import read_json

    if files.run is None or not files.run.thresholds.is_file():
        raise UsageError(
            f"{files.name} keeps no thresholds, so --conf auto has nothing to go by",
            hint="Name a run that was trained on data with a val split, or give a number.",
        )
    thresholds: dict[str, float] = read_json(files.run.thresholds)
    return thresholds
