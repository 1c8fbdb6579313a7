"""The run folder: what lies beside the weights, to understand a run and to resume it."""

from __future__ import annotations

import csv
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_tl.core.errors import UsageError
from detect_tl.core.files import atomic_path, read_json, write_json

if TYPE_CHECKING:
    from detect_tl.training.config import TrainConfig

_PACKAGES = (
    "detect-tl",
    "ultralytics",
    "torch",
    "torchvision",
    "numpy",
    "opencv-python",
    "albumentations",
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run are."""

    path: Path

    @property
    def best(self) -> Path:
        return self.path / "weights" / "best.pt"

    @property
    def last(self) -> Path:
        return self.path / "weights" / "last.pt"

    @property
    def resume_state(self) -> Path:
        return self.path / "weights" / "resume.pt"

    @property
    def onnx(self) -> Path:
        return self.path / "best.onnx"

    @property
    def export(self) -> Path:
        """What the parity gate measured on `onnx`."""
        return self.path / "export.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def thresholds(self) -> Path:
        """The best threshold of confidence of every class; not there without val objects."""
        return self.path / "thresholds.json"

    @property
    def retention(self) -> Path:
        """Average precision of kept classes before and after, where there was a yardstick."""
        return self.path / "retention.json"

    @property
    def cost(self) -> Path:
        """Seconds and bytes of memory that training took; of a resumed run, since it was."""
        return self.path / "cost.json"

    @property
    def transfer(self) -> Path:
        return self.path / "transfer.json"

    @property
    def strategy(self) -> Path:
        """What trains when, and why."""
        return self.path / "strategy.json"

    @property
    def augmentation(self) -> Path:
        """The augmentation, written out; not there when it is Ultralytics' own."""
        return self.path / "augmentation.yaml"

    @property
    def adaptation(self) -> Path:
        """What was tried, measured and chosen; only there where a model was adapted."""
        return self.path / "adaptation.json"

    @property
    def trial(self) -> Path:
        """How it ended as a trial of a search; only there where it was one."""
        return self.path / "trial.json"

    @property
    def finished(self) -> bool:
        return self.best.exists() and not self.resume_state.exists()

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the run in `path`; raise UsageError when it is no run folder."""
        run = cls(path)
        if not (path / "config.json").is_file():
            raise UsageError(
                f"{path} is not a run folder: it has no config.json",
                hint="Name the folder that `detect-tl train --out` wrote.",
            )
        return run

    def config(self) -> TrainConfig:
        from detect_tl.training.config import TrainConfig  # pydantic takes a while to import

        return TrainConfig.parse(read_json(self.path / "config.json"))

    def dataset(self) -> Path:
        """The dataset folder that the run was trained on."""
        recorded = Path(read_json(self.path / "dataset.json")["path"])
        return recorded if recorded.is_absolute() else self.path / recorded

    def write_description(
        self, config: TrainConfig, dataset: dict[str, Any], device: str, weights: str
    ) -> None:
        """weights: checksum of the file that training starts from."""
        write_json(self.path / "config.json", config.model_dump(mode="json"))
        write_json(self.path / "dataset.json", dataset)
        here = {**environment(device), "weights_sha256": weights}
        write_json(self.path / "environment.json", here)

    def epochs(self) -> dict[int, dict[str, float]]:
        """The rows of `metrics.csv` by the number of the epoch, 0 being the start."""
        if not self.metrics.exists():
            return {}
        with self.metrics.open(newline="") as stream:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]
        return {int(row["epoch"]): row for row in rows}

    def drop_epochs_after(self, epoch: int) -> None:
        """Remove the rows of `metrics.csv` that belong to epochs after `epoch` (0-based)."""
        if not self.metrics.exists():
            return
        with self.metrics.open(newline="") as stream:
            header, *rows = list(csv.reader(stream))
        kept = [row for row in rows if int(row[0]) <= epoch + 1]
        with atomic_path(self.metrics) as scratch, scratch.open("w", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([header, *kept])


def environment(device: str = "") -> dict[str, Any]:
    """Versions, machine and commit that a run was made with."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": device,
        "packages": package_versions(),
        "git": _commit(),
    }


def package_versions() -> dict[str, str | None]:
    """Versions of what decides how a training goes."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
