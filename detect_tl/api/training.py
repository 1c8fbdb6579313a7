"""Training a detector from annotations, and going on with an interrupted run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from detect_tl.api.evaluation import EvalResult, evaluate
from detect_tl.api.evidence import MISTAKES
from detect_tl.api.pages import PICTURES, REPORT, write_pages
from detect_tl.api.retention import Retention, measure_retention
from detect_tl.core.errors import UsageError
from detect_tl.core.progress import Progress, Silent

if TYPE_CHECKING:
    from detect_tl.core.model_spec import Task
    from detect_tl.training.folder import RunFolder
    from detect_tl.training.plan import TrainingPlan
    from detect_tl.training.run import TrainResult as Trained


Data: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run: where it is, and how good its best checkpoint is on the val split.

    retention: what it still knows of classes that it was to keep, where that was measured.
    """

    run: Path
    best: Path
    last: Path
    report: Path
    task: Task
    names: tuple[str, ...]
    epochs: int
    seconds: float
    evaluation: EvalResult
    retention: Retention | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "best": str(self.best),
            "last": str(self.last),
            "report": str(self.report),
            "task": self.task,
            "names": list(self.names),
            "epochs": self.epochs,
            "seconds": round(self.seconds, 1),
            "evaluation": self.evaluation.as_json(),
            "retention": self.retention.as_json() if self.retention else None,
        }


def train(data: Data, *, progress: Progress | None = None, **settings: Any) -> TrainResult:
    """Train on annotations in any known format, or on a dataset folder; or on several as one.

    settings: any field of `detect_tl.training.config.TrainConfig`: weights, task, strategy, epochs,
    imgsz, batch, lr, seed, device, out, …

    Raises UsageError for a wrong setting or a run folder that exists, DataError for annotations
    that cannot be used, WeightsError, and MachineError when device or memory do not suffice.
    """
    from detect_tl.training.config import TrainConfig
    from detect_tl.training.run import train as carry_out

    config = TrainConfig.parse({"data": data, **settings})
    return finish(carry_out(config, progress), config.device, progress or Silent())


def train_plan(data: Data, *, progress: Progress | None = None, **settings: Any) -> TrainingPlan:
    """What `train` would do with the same settings: its strategy, why, and its stages.

    Nothing is trained and nothing written. Raises what `train` raises for what cannot be used.
    """
    from detect_tl.training.beginning import plan_only
    from detect_tl.training.config import TrainConfig

    return plan_only(TrainConfig.parse({"data": data, **settings}), progress)


def resume(run: str | Path, *, progress: Progress | None = None) -> TrainResult:
    """Go on with a run after its last finished epoch, to the result it would have had.

    A run that was interrupted after its last epoch is measured and described.

    Raises UsageError when `run` is no run folder, or one that has finished.
    """
    from detect_tl.training.folder import RunFolder
    from detect_tl.training.run import resume as carry_out

    folder = RunFolder.open(Path(run))
    if folder.adaptation.is_file():
        raise UsageError(
            f"the run {folder.path} was adapted, and that has finished; there is nothing to resume"
        )
    only_measure = folder.finished and not (folder.path / REPORT).exists()
    trained = as_trained(folder) if only_measure else carry_out(folder.path, progress)
    return finish(trained, folder.config().device, progress or Silent())


def as_trained(run: RunFolder) -> Trained:
    """The result of a training whose epochs are done."""
    from detect_tl.core.files import read_json
    from detect_tl.evaluation.plots import read_curves
    from detect_tl.training.run import TrainResult as Trained

    config = run.config()
    curves = read_curves(run.metrics) if config.epochs else {"epoch": [0.0], "time": [0.0]}
    return Trained(
        run=run,
        task="segment" if config.task == "segment" else "detect",
        names=tuple(read_json(run.path / "dataset.json")["names"]),
        dataset=run.dataset(),
        epochs=int(curves["epoch"][-1]),
        seconds=curves["time"][-1],
    )


def finish(trained: Trained, device: str, progress: Progress) -> TrainResult:
    """Measure the best checkpoint, and write what people read of a run."""
    from detect_tl.core.files import write_json

    run = trained.run
    evaluation = evaluate(
        run.path,
        device=device,
        pictures=PICTURES,
        mistakes=run.path / MISTAKES,
        progress=progress,
    )
    write_json(run.path / "metrics.json", evaluation.as_json())
    if evaluation.analysis is not None:
        write_json(run.thresholds, evaluation.analysis.thresholds())
    report = write_pages(run, pictures=evaluation.pictures)
    retention = measure_retention(run, progress)
    if retention is not None:
        write_json(run.retention, retention.as_json())
    return TrainResult(
        run=run.path,
        best=run.best,
        last=run.last,
        report=report,
        task=trained.task,
        names=trained.names,
        epochs=trained.epochs,
        seconds=trained.seconds,
        evaluation=evaluation,
        retention=retention,
    )
