"""Detecting on pictures, videos, cameras and streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from detect_tl.api.exporting import exported
from detect_tl.api.model_files import ModelFiles, find_model, sample_picture
from detect_tl.api.zero_shot import find_names
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.core.findings import Finding
    from detect_tl.runtime.config import DetectorConfig
    from detect_tl.runtime.detector import Detector
    from detect_tl.runtime.opening import Model
    from detect_tl.runtime.result import PredictResult


def predict(
    model: str | Path,
    source: str | Path,
    *,
    zero_shot: str | Sequence[str] = (),
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
    zero_shot: names to find in place of the model's classes, a list or with commas between them:
    first what those cover, by name, synonym or parent, then an open-vocabulary model for the rest.
    open_weights: that model, a file or a name; None: the first official one on this machine.
    settings: any field of `detect_tl.runtime.config.PredictConfig`: out, save, conf, classes,
    imgsz, track, backend, … `imgsz` may be one side. With `conf` "auto" every class has its best
    threshold, which training has measured and kept in the run.

    `detect_tl.runtime.predict.predict` says how a run ends, and what is raised.
    """
    from detect_tl.core.files import refuse_existing
    from detect_tl.core.screen import require_display
    from detect_tl.runtime.config import PredictConfig
    from detect_tl.runtime.predict import predict as run
    from detect_tl.runtime.sinks import INSTEAD_OF_WINDOW

    config = PredictConfig.parse(settings)
    # Before an export is made for nothing.
    if config.out is not None:
        refuse_existing(config.out)
    if config.show:
        require_display(INSTEAD_OF_WINDOW)
    show = progress or Silent()
    chosen = choose_model(
        model, config, zero_shot, open_weights=open_weights, trust=trust, progress=show
    )
    result = run(chosen.model, source, chosen.config, progress=progress)
    return replace(result, findings=(*chosen.findings, *result.findings))


def detector(
    model: str | Path,
    *,
    zero_shot: str | Sequence[str] = (),
    open_weights: str | Path | None = None,
    trust: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> Detector:
    """A model that is ready to detect, without torch; the caller closes it.

    model, zero_shot, open_weights: as `predict` has them. settings: any field of
    `detect_tl.runtime.config.DetectorConfig`. Raises what `predict` raises for these.
    """
    from detect_tl.core.images import read_image
    from detect_tl.runtime.config import DetectorConfig
    from detect_tl.runtime.opening import make_detector, open_model

    config, show = DetectorConfig.parse(settings), progress or Silent()
    chosen = choose_model(
        model, config, zero_shot, open_weights=open_weights, trust=trust, progress=show
    )
    picture = sample_picture(chosen.files)
    sample = None if picture is None else read_image(picture)
    backend, _, reasons = open_model(chosen.model, sample, chosen.config, threads=None)
    for reason in reasons:
        show.say(reason)
    try:
        return make_detector(backend, chosen.config)
    except UsageError:
        backend.close()
        raise


C = TypeVar("C", bound="DetectorConfig")


@dataclass(frozen=True, slots=True)
class Chosen(Generic[C]):
    """What is to run, with the settings that this needs. findings: what stands for which name."""

    files: ModelFiles
    model: Model
    config: C
    findings: tuple[Finding, ...] = ()


def choose_model(
    model: str | Path,
    config: C,
    zero_shot: str | Sequence[str],
    *,
    open_weights: str | Path | None,
    trust: bool,
    progress: Progress,
) -> Chosen[C]:
    """Find a model and what of it is to run, exported where that was not done before.

    Arguments and errors are those of `predict`.
    """
    files = find_model(model, trust=trust, progress=progress)
    if zero_shot and config.conf == "auto":
        raise UsageError(
            "thresholds were measured for the model's own classes, not for names of your own",
            hint="Give a number with --conf.",
        )
    config = config.with_thresholds(lambda: best_confidences(files))
    path = exported(files, config.imgsz, trust=trust, progress=progress)
    if not zero_shot:
        return Chosen(files, path, config)
    found = find_names(
        path,
        zero_shot,
        called=Path(model).name,
        open_weights=open_weights,
        trust=trust,
        progress=progress,
    )
    return Chosen(files, found.models, config, found.findings)


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
