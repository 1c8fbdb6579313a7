"""Trainings that write what a run leaves, at once; how good they get depends on their settings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from detect_tl.core.errors import GateError
from detect_tl.core.files import write_json
from detect_tl.core.progress import Progress
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.trainer import Conduct
from detect_tl.training.trials import Rungs, Search
from detect_tl.transfer.space import Space, usual_space

HEADER = "epoch,time,metrics/mAP50-95(B)\n"


class Training:
    """Ctrl-C ends it after `left` epochs of all trials together; None: never.

    fails: numbers of trials whose loss is no number.
    """

    def __init__(self) -> None:
        self.left: int | None = None
        self.fails: set[int] = set()
        self.epochs: list[tuple[int, int]] = []

    def train(self, config: TrainConfig, progress: Progress, conduct: Conduct) -> None:
        del progress
        run = RunFolder(config.out)
        run.last.parent.mkdir(parents=True)
        resolved = config.model_copy(update={"task": "detect"})
        write_json(run.path / "config.json", resolved.model_dump(mode="json"))
        write_json(run.path / "dataset.json", {"names": ["a"], "path": str(config.data)})
        run.resume_state.touch()
        run.metrics.write_text(HEADER)
        self._go_on(run, config, conduct)

    def resume(self, path: Path, progress: Progress, conduct: Conduct) -> None:
        del progress
        run = RunFolder(path)
        assert conduct.goes_on is not None
        answers = [conduct.goes_on(epoch, row) for epoch, row in run.epochs().items()]
        if all(answers):
            self._go_on(run, run.config(), conduct)
        else:
            run.resume_state.unlink()

    def _go_on(self, run: RunFolder, config: TrainConfig, conduct: Conduct) -> None:
        assert conduct.goes_on is not None
        number = int(run.path.name)
        for epoch in range(len(run.epochs()) + 1, config.epochs + 1):
            if number in self.fails:
                raise GateError("the loss is no longer a number in epoch 1")
            if self.left is not None:
                if not self.left:
                    raise KeyboardInterrupt
                self.left -= 1
            self.epochs.append((number, epoch))
            with run.metrics.open("a") as stream:
                stream.write(f"{epoch},{epoch * 10},{score(config, epoch):.6g}\n")
            run.best.touch()
            run.last.touch()
            if not conduct.goes_on(epoch, run.epochs()[epoch]):
                break
        run.resume_state.unlink()


def score(config: TrainConfig, epoch: int) -> float:
    """The same for the same settings, and better with every epoch."""
    chosen = f"{config.strategy} {config.freeze} {config.lr} {config.batch} {config.augment}"
    drawn = int(hashlib.sha256(chosen.encode()).hexdigest()[:6], 16) / 16**6
    return drawn * (1 - 0.6**epoch)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    fake = Training()
    monkeypatch.setattr("detect_tl.training.trials.train", fake.train)
    monkeypatch.setattr("detect_tl.training.trials.resume", fake.resume)
    return fake


def search_in(
    folder: Path, *, trials: int = 12, epochs: int = 9, space: Space | None = None, seed: int = 0
) -> Search:
    common = TrainConfig.parse({"data": "pictures", "epochs": epochs, "seed": seed})
    default = {"strategy": "partial", "batch": 8, "augment": "ultralytics", "mosaic": 1.0}
    chosen = space or usual_space(8, {})
    return Search(
        folder=folder,
        common=common,
        space=chosen,
        rungs=Rungs.of(epochs),
        trials=trials,
        default=chosen.holds(default),
    )
