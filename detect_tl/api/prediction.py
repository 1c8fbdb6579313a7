"""Detecting on pictures, videos, cameras and streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.exporting import exported
from detect_tl.api.model_files import ModelFiles, find_model, sample_picture
from detect_tl.api.zero_shot import find_names
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.runtime.config import PredictConfig
    from detect_tl.runtime.detector import Detector
    from detect_tl.runtime.result import PredictResult


def predict(
    model: str | Path,
    source: str | Path,
    *,
    zero_shot: Sequence[str] = (),
    open_weights: str | Path | None = None,
    trust: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> PredictResult:
    """Detect on everything that `source` gives, without torch.

    model: run folder, .pt, .onnx or the name of weights; a checkpoint is exported first, through
    the parity gate, unless that was done before. source: image, folder, pattern, video, camera
    number, stream, "-" for raw bgr24 frames on standard input, of which `stdin_size` says width and
    height, or a .txt file that names several of those.
    zero_shot: names to find, in place of the model's classes: first what those cover, by name,
    synonym or parent, then an open-vocabulary model for the rest. open_weights: that model, a file
    or a name; None: the first official one on this machine.
    settings: any field of `detect_tl.runtime.config.PredictConfig`: out, save, conf, classes,
    imgsz, track, backend, … `imgsz` may be one side. With `conf` "auto" every class has its best
    threshold, which training has measured and kept in the run.

    `detect_tl.runtime.predict.predict` says how a run ends, and what is raised.
    """
    from detect_tl.core.files import refuse_existing
    from detect_tl.runtime.config import PredictConfig
    from detect_tl.runtime.predict import predict as run
    from detect_tl.runtime.several import refuse_window

    config = PredictConfig.parse(settings)
    # Before an export is made for nothing.
    if config.out is not None:
        refuse_existing(config.out)
    if config.show:
        refuse_window(source)
    if zero_shot:
        _refuse_auto(config)
        found = find_names(
            model,
            zero_shot,
            open_weights=open_weights,
            imgsz=config.imgsz,
            trust=trust,
            progress=progress or Silent(),
        )
        result = run(found.models, source, config, progress=progress)
        return replace(result, findings=(*found.findings, *result.findings))
    files = find_model(model, trust=trust, progress=progress)
    config = config.with_thresholds(lambda: best_confidences(files))
    path = exported(files, config.imgsz, trust=trust, progress=progress)
    return run(path, source, config, progress=progress)


def _refuse_auto(config: PredictConfig) -> None:
    if config.conf == "auto":
        raise UsageError(
            "thresholds were measured for the model's own classes, not for names of your own",
            hint="Give a number with --conf.",
        )


def detector(
    model: str | Path, *, trust: bool = False, progress: Progress | None = None, **settings: Any
) -> Detector:
    """A model that is ready to detect, without torch; the caller closes it.

    model: as `predict` has it. settings: any field of `detect_tl.runtime.config.DetectorConfig`.
    Raises what `predict` raises for a model or a setting.
    """
    from detect_tl.core.images import read_image
    from detect_tl.runtime.config import DetectorConfig
    from detect_tl.runtime.opening import chosen_engine, make_detector

    config = DetectorConfig.parse(settings)
    files = find_model(model, trust=trust, progress=progress)
    config = config.with_thresholds(lambda: best_confidences(files))
    path = exported(files, config.imgsz, trust=trust, progress=progress)
    picture = sample_picture(files)
    sample = None if picture is None else read_image(picture)
    choice = chosen_engine(path, sample, config, threads=None)
    if choice.reason:
        (progress or Silent()).say(choice.reason)
    try:
        return make_detector(choice.backend, config)
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
