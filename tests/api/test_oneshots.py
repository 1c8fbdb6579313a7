"""What a study of a handful runs, goes on with and refuses. Only its runs are made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from detect_tl import api
from detect_tl.core.errors import DataError, DetectTLError, UsageError, WeightsError
from detect_tl.core.files import read_json, write_json
from detect_tl.core.progress import Progress, Silent
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from tests.devices import DEVICE
from tests.training.conftest import shapes, small_checkpoint  # noqa: F401  # fixtures


class Training:
    """Writes what a run leaves, at once; Ctrl-C ends the run number `stops_in`, from 1."""

    def __init__(self) -> None:
        self.trained: list[TrainConfig] = []
        self.stops_in = 0

    def train(self, config: TrainConfig, progress: Progress) -> SimpleNamespace:
        assert isinstance(progress, Silent)
        self.trained.append(config)
        if len(self.trained) == self.stops_in:
            raise KeyboardInterrupt
        run = RunFolder(config.out)
        resolved = config.model_copy(update={"task": "detect", "batch": 4})
        run.best.parent.mkdir(parents=True)
        write_json(run.path / "config.json", resolved.model_dump(mode="json"))
        images = len(list((config.data / "images" / "train").iterdir()))
        score = 0.1 + 0.01 * config.seed + (0.002 * images if config.epochs else 0)
        write_json(run.path / "metrics.json", {"box": {"mAP50-95": score}})
        write_json(run.cost, {"seconds": 30.0 if config.epochs else 2.0})
        run.best.touch()
        return SimpleNamespace(run=run)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    fake = Training()
    monkeypatch.setattr("detect_tl.training.run.train", fake.train)
    return fake


@pytest.fixture
def settings(shapes: Path, small_checkpoint: Path, tmp_path: Path) -> dict[str, Any]:  # noqa: F811
    return {
        "data": shapes,
        "weights": str(small_checkpoint),
        "out": tmp_path / "study",
        "shots": (1, 2),
        "seeds": 2,
        "against": 3,
        "imgsz": 64,
        "device": DEVICE,
    }


def test_both_sides_see_the_same_pictures(training: Training, settings: dict[str, Any]) -> None:
    result = api.oneshot_study(**settings, seed=4)
    runs, folder = training.trained, settings["out"]
    assert [config.out.name for config in runs] == [
        f"{side}-{shots}-{seed}"
        for shots in (1, 2)
        for seed in (4, 5)
        for side in ("imprinted", "trained")
    ]
    for imprinted, trained in zip(runs[::2], runs[1::2], strict=True):
        assert imprinted.data == trained.data
        assert (imprinted.epochs, imprinted.strategy) == (0, "imprint")
        assert (trained.epochs, trained.strategy) == (3, "freeze")
        own = {"out", "epochs", "strategy", "task"}
        assert imprinted.model_dump(exclude=own) == trained.model_dump(exclude=own)
    counts = [len(list((c.data / "images/train").iterdir())) for c in runs[::2]]
    assert all(1 <= count <= 2 for count in counts[:2])
    assert all(count <= 4 for count in counts[2:])
    assert all(len(list((c.data / "images/val").iterdir())) == 6 for c in runs)
    assert [row.shots for row in result.study.rows] == [1, 2]
    assert [t.images for row in result.study.rows for t in row.trials] == counts
    assert result.study.rows[0].seconds == (2.0, 30.0)
    assert read_json(folder / "oneshot.json") == json.loads(json.dumps(result.as_json()))
    assert result.picture.is_file()


def test_a_plan_draws_what_the_study_draws(training: Training, settings: dict[str, Any]) -> None:
    plan = api.oneshot_plan(**settings, seed=4)
    assert not settings["out"].exists()
    assert training.trained == []
    rows = api.oneshot_study(**settings, seed=4).study.rows
    assert plan.draws == {row.shots: tuple(t.images for t in row.trials) for row in rows}
    assert set(plan.new) == {"disc", "square"}
    assert list(plan.summary())[-1] == (
        "4 runs without training, and 4 trainings of 3 epochs by freeze"
    )
    assert json.loads(json.dumps(plan.as_json()))["draws"].keys() == {"1", "2"}


def test_a_plan_says_where_rows_come_from(settings: dict[str, Any], tmp_path: Path) -> None:
    """The same that a run of it then says."""
    data = shutil.copytree(settings["data"], tmp_path / "data")
    text = (data / "data.yaml").read_text()
    (data / "data.yaml").write_text(text.replace("disc", "class 7"))
    alone = {k: settings[k] for k in ("weights", "imgsz", "device")}
    plan = api.oneshot_plan(data, out=tmp_path / "run", **alone)
    assert not (tmp_path / "run").exists()
    run = RunFolder(api.oneshot(data, out=tmp_path / "run", **alone).run)
    told = read_json(run.transfer)["classes"]
    assert set(plan.known) == set(told["reused"]) == {"class 7"}
    assert dict(plan.new) == told["imprinted"]
    assert plan.draws == {}


def test_an_interrupted_study_goes_on(training: Training, settings: dict[str, Any]) -> None:
    training.stops_in = 4
    with pytest.raises(KeyboardInterrupt):
        api.oneshot_study(**settings)
    assert not (settings["out"] / "oneshot.json").exists()
    training.trained.clear()
    training.stops_in = 0
    result = api.oneshot_study(**settings)
    assert training.trained[0].out.name == "trained-1-1"
    training.trained.clear()
    assert api.oneshot_study(**settings) == result
    assert training.trained == []
    api.oneshot_study(**{**settings, "shots": (2, 5), "seeds": 3})  # what is there is kept
    assert {config.out.name.partition("-")[2] for config in training.trained} == {
        *("2-2", "5-0", "5-1", "5-2")
    }


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"seeds": 1}, UsageError, "measure nothing"),
        ({"shots": ()}, UsageError, "measure nothing"),
        ({"shots": (0, 1)}, UsageError, "measure nothing"),
        ({"against": 0}, UsageError, "measure nothing"),
        ({"strategy": "freze"}, UsageError, "freze"),
        ({"lr": 0.1}, UsageError, "lr cannot be set"),
        ({"imgzs": 64}, UsageError, "unknown setting 'imgzs'"),
        ({"weights": "none.pt"}, WeightsError, "none.pt"),
        ({"data": Path("nowhere")}, DataError, "nowhere"),
    ],
)
def test_what_cannot_be_used_leaves_nothing(
    training: Training,
    settings: dict[str, Any],
    changes: dict[str, Any],
    kind: type[DetectTLError],
    says: str,
) -> None:
    with pytest.raises(kind, match=says):
        api.oneshot_study(**{**settings, **changes})
    assert not settings["out"].exists()
    assert training.trained == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"against": 4}, "epochs was 3 and is now 4"), ({"imgsz": 96}, "imgsz was 64")],
)
def test_a_folder_of_other_settings_is_refused(
    training: Training, settings: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    api.oneshot_study(**settings)
    with pytest.raises(UsageError, match=says):
        api.oneshot_study(**{**settings, **changes})


def test_a_run_without_training_has_no_settings_of_training(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="epochs cannot be set: nothing is trained"):
        api.oneshot(settings["data"], epochs=3)
    with pytest.raises(UsageError, match="without epochs"):
        api.benefit(settings["data"], epochs=0)
