"""Detecting on pictures, videos, cameras and streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detect_tl.api.engines import runtime_device
from detect_tl.api.exporting import exported
from detect_tl.api.model_files import ModelFiles, find_model
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress

if TYPE_CHECKING:
    from detect_tl.runtime.detector import Detector
    from detect_tl.runtime.predict import PredictResult


def predict(
    model: str | Path,
    source: str | Path,
    *,
    out: Path | None = None,
    save: Collection[Literal["video", "images", "jsonl"]] | None = None,
    show: bool = False,
    conf: float | Mapping[str, float] | Literal["auto"] = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    classes: Collection[str | int] | None = None,
    imgsz: int | tuple[int, int] | None = None,
    rect: bool | None = None,
    backend: str = "auto",
    device: str = "",
    limit: int | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> PredictResult:
    """Detect on everything that `source` gives, without torch.

    model: run folder, .pt, .onnx or the name of weights; a checkpoint is exported first, through
    the parity gate, unless that was done before. source: image, folder, pattern, video, camera
    number or stream. out: folder for the results; None writes nothing. conf: "auto" takes the best
    threshold of every class, which training has measured and kept in the run. The other values are
    those of `detect_tl.runtime.predict.predict`, which see, and which says what is raised.
    """
    from detect_tl.core.files import refuse_existing
    from detect_tl.runtime.predict import predict as run

    if out is not None:
        refuse_existing(Path(out))  # before an export is made for nothing
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
        conf=least,
        iou=iou,
        max_det=max_det,
        classes=classes,
        imgsz=sides,
        rect=rect,
        backend=backend,
        device=runtime_device(device),
        limit=limit,
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
    from detect_tl.runtime.backends import load_backend
    from detect_tl.runtime.detector import Detector

    sides = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    files = find_model(model, trust=trust, progress=progress)
    least = best_confidences(files) if conf == "auto" else conf
    path = exported(files, sides, trust=trust, progress=progress)
    engine = load_backend(path, backend, device=runtime_device(device))
    try:
        return Detector(engine, conf=least, imgsz=sides)
    except UsageError:
        engine.close()
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
