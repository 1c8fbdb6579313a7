"""The whole line on the embedded sample, from annotations to a detector on video."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.api.data import convert
from detect_tl.api.exporting import export
from detect_tl.api.pages import write_pages
from detect_tl.api.prediction import predict
from detect_tl.api.training import TrainResult, train
from detect_tl.core.errors import MachineError, WeightsError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.export.model import ExportResult
    from detect_tl.runtime.result import PredictResult

OFFICIAL = "yolo11n"

EPOCHS = 20
IMGSZ = 320
BATCH = 16
_STRIDE = 32
SPLIT = (0.8, 0.2, 0.0)


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """What the line reached, and where everything is.

    weights: what training started from, in words. seconds: of the whole line.
    """

    folder: Path
    weights: str
    dataset: Path
    trained: TrainResult
    exported: ExportResult
    predicted: PredictResult
    seconds: float

    @property
    def video(self) -> Path:
        """The annotated video."""
        return self.predicted.files[0]

    def as_json(self) -> dict[str, Any]:
        scores = self.trained.evaluation.metrics.box
        return {
            "folder": str(self.folder),
            "weights": self.weights,
            "classes": list(self.trained.names),
            "mAP50": scores.map50,
            "mAP50-95": scores.map50_95,
            "onnx_bytes": self.exported.size_bytes,
            "parity": self.exported.parity.as_json()["worst"],
            "fps": round(self.predicted.fps, 1),
            "seconds": round(self.seconds, 1),
            "files": {
                "dataset": str(self.dataset),
                "run": str(self.trained.run),
                "checkpoint": str(self.trained.best),
                "report": str(self.trained.report),
                "onnx": str(self.exported.path),
                "video": str(self.video),
            },
        }


def quickstart(
    out: Path | None = None,
    *,
    weights: str | None = None,
    epochs: int = EPOCHS,
    imgsz: int = IMGSZ,
    device: str = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> QuickstartResult:
    """Convert the sample, fine-tune on it, evaluate, export, and detect on its video.

    out: folder for everything; None or one that is taken: quickstart, quickstart-2, …
    weights: what to start from; None: the official yolo11n where it is found or can be fetched,
    else the embedded synthetic starter.

    Raises MachineError when the installation comes without the sample.
    """
    from detect_tl.core.files import unused_folder
    from detect_tl.training.folder import RunFolder

    show = progress or Silent()
    sample = _sample()
    folder = unused_folder(Path(out or "quickstart"))
    began = time.monotonic()
    start, described = (weights, weights) if weights else _starting_point(show)
    show.say(f"starting from {described}")
    dataset = convert(
        sample / "images", folder / "dataset", split=SPLIT, seed=seed, task="detect", progress=show
    )
    trained = train(
        dataset.folder,
        weights=start,
        freeze="backbone",
        epochs=epochs,
        imgsz=imgsz,
        batch=BATCH,
        device=device,
        seed=seed,
        workers=0,
        out=folder / "run",
        progress=show,
    )
    exported = export(trained.run, progress=show)
    predicted = _on_video(sample / "video.mp4", folder, exported.path, imgsz, show)
    write_pages(
        RunFolder(trained.run),
        pictures=trained.evaluation.pictures,
        title=folder.name,
        notes=[f"Training started from {described}."],
        exported=exported,
        predicted=predicted,
    )
    seconds = time.monotonic() - began
    return QuickstartResult(
        folder, described, dataset.folder, trained, exported, predicted, seconds
    )


def _on_video(
    video: Path, folder: Path, model: Path, imgsz: int, progress: Progress
) -> PredictResult:
    """Detect where things are as large as they were in training, since the video is wider."""
    from detect_tl.core.files import find_images
    from detect_tl.core.image_header import read_header
    from detect_tl.runtime.sources import open_source

    source = open_source(video)
    source.close()
    learned = max(read_header(find_images(folder / "dataset" / "images" / "train")[0]).size)
    seen = max(source.info.size or (learned,))
    side = math.ceil(seen * imgsz / learned / _STRIDE) * _STRIDE
    return predict(model, video, imgsz=side, out=folder / "detections", progress=progress)


def _sample() -> Path:
    from detect_tl.core.embedded import embedded_sample

    sample = embedded_sample()
    if sample is None:
        raise MachineError(
            "this installation comes without the sample data set",
            hint="Install detect-tl from a release or a checkout.",
        )
    return sample


def _starting_point(progress: Progress) -> tuple[str, str]:
    """Path of the checkpoint to start from, and what it is in words."""
    from detect_tl.transfer.fetch import locate
    from detect_tl.transfer.manifest import STARTER, find

    try:
        found = locate(OFFICIAL, progress=progress)
    except WeightsError as error:
        progress.say(f"no {OFFICIAL}: {error}")
        found = locate(STARTER)
        note = f"the embedded checkpoint ({find(STARTER).trained_on})"
    else:
        note = f"{OFFICIAL} (COCO, from {found.origin})"
    return str(found.path), note
