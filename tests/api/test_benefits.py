"""What `benefit` trains, goes on with, takes as it is and refuses. Only the epochs are made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from detect_tl import api
from detect_tl.core.errors import DataError, DetectTLError, MachineError, UsageError, WeightsError
from detect_tl.core.files import read_json, walk_files, write_json
from detect_tl.core.progress import Progress, Silent
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from tests.devices import DEVICE
from tests.training.conftest import shapes, small_checkpoint  # noqa: F401  # fixtures

HEADER = "epoch,time,metrics/mAP50-95(B),metrics/mAP50-95(M)"


class Training:
    """Writes what a run leaves, at once; Ctrl-C ends the run number `stops_in`, from 1."""

    def __init__(self) -> None:
        self.trained: list[TrainConfig] = []
        self.resumed: list[str] = []
        self.stops_in = 0

    def train(self, config: TrainConfig, progress: Progress) -> SimpleNamespace:
        assert isinstance(progress, Silent)
        self.trained.append(config)
        run = RunFolder(config.out)
        found = {"task": "detect", "batch": 4, "data": config.data.resolve()}
        resolved = config.model_copy(update=found)
        write_json(run.path / "config.json", resolved.model_dump(mode="json"))
        run.resume_state.parent.mkdir()
        run.resume_state.touch()
        if len(self.trained) == self.stops_in:
            raise KeyboardInterrupt
        return self._end(run)

    def resume(self, path: Path, progress: Progress) -> SimpleNamespace:
        assert isinstance(progress, Silent)
        self.resumed.append(path.name)
        return self._end(RunFolder(path))

    def _end(self, run: RunFolder) -> SimpleNamespace:
        config = run.config()
        lift = 0.0 if config.strategy == "scratch" else 0.4
        values = [lift + (0.1 + config.seed / 100) * k for k in range(config.epochs + 1)]
        rows = [f"{k},{k * 3},{value},.01" for k, value in enumerate(values)]
        run.metrics.write_text("\n".join([HEADER, *rows, ""]))
        run.best.touch()
        run.resume_state.unlink()
        return SimpleNamespace(run=run)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    fake = Training()
    monkeypatch.setattr("detect_tl.training.run.train", fake.train)
    monkeypatch.setattr("detect_tl.training.run.resume", fake.resume)
    return fake


@pytest.fixture
def settings(shapes: Path, small_checkpoint: Path, tmp_path: Path) -> dict[str, Any]:  # noqa: F811
    return {
        "data": shapes,
        "weights": str(small_checkpoint),
        "out": tmp_path / "gain",
        "seeds": 2,
        "epochs": 3,
        "imgsz": 64,
        "device": DEVICE,
    }


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in walk_files(folder)}


def test_both_sides_train_alike_in_all_but_their_start(
    training: Training, settings: dict[str, Any]
) -> None:
    result = api.benefit(**settings, seed=5, freeze="neck", l2_sp=0.1)
    folder = settings["out"]
    names = ["transfer-5", "scratch-5", "transfer-6", "scratch-6"]
    assert [config.out for config in training.trained] == [folder / "runs" / n for n in names]
    assert [config.seed for config in training.trained] == [5, 5, 6, 6]
    for ours, theirs in zip(training.trained[::2], training.trained[1::2], strict=True):
        assert (ours.strategy, ours.freeze, ours.l2_sp) == ("freeze", "neck", 0.1)
        assert (theirs.strategy, theirs.freeze, theirs.l2_sp) == ("scratch", None, 0.0)
        own = {"out", "strategy", "freeze", "l2_sp"}
        assert ours.model_dump(exclude=own) == theirs.model_dump(exclude=own)
        assert ours.data == folder / "dataset"  # one split for all
        assert (ours.measure_start, ours.patience, ours.epochs) == (True, 0, 3)
    assert result.strategy == "freeze"
    assert result.benefit.seeds == (5, 6)
    assert [measure.answer for measure in result.benefit.measures] == ["yes", "not shown", "yes"]
    assert read_json(result.figures) == json.loads(json.dumps(result.as_json()))
    assert result.picture.is_file()


def test_a_dataset_folder_is_used_as_it_is(
    training: Training, settings: dict[str, Any], tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    api.convert(settings["data"], prepared)
    api.benefit(**{**settings, "data": prepared})
    assert {config.data for config in training.trained} == {prepared}
    assert not (settings["out"] / "dataset").exists()


def test_what_is_said_of_the_annotations_is_not_said_of_the_dataset_folder(
    training: Training, settings: dict[str, Any]
) -> None:
    api.benefit(**settings, from_format="yolo", split=(0.5, 0.5))
    assert not any(config.reading.chooses for config in training.trained)
    written = read_json(settings["out"] / "dataset" / "report.json")["splits"]
    assert written["train"]["images"] == written["val"]["images"] == 9


def test_an_interrupted_measurement_goes_on(training: Training, settings: dict[str, Any]) -> None:
    training.stops_in = 3
    with pytest.raises(KeyboardInterrupt):
        api.benefit(**settings)
    assert not (settings["out"] / "benefit.json").exists()
    training.trained.clear()
    result = api.benefit(**settings)
    assert training.resumed == ["transfer-1"]
    assert [config.out.name for config in training.trained] == ["scratch-1"]
    training.trained.clear()
    assert api.benefit(**settings) == result  # there is nothing left to do
    assert training.trained == []


def test_more_seeds_add_to_the_runs_that_are_there(
    training: Training, settings: dict[str, Any]
) -> None:
    api.benefit(**settings)
    training.trained.clear()
    assert api.benefit(**{**settings, "seeds": 3}).benefit.seeds == (0, 1, 2)
    assert [config.out.name for config in training.trained] == ["transfer-2", "scratch-2"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": 4}, "epochs was 3 and is now 4"),
        ({"imgsz": 96, "lr": 0.1}, "imgsz was 64 and is now 96; lr was None and is now 0.1"),
        ({"strategy": "head"}, "strategy was auto and is now head"),
        ({"seed": 1}, "seed was 0 and is now 1"),
        ({"data": Path("elsewhere")}, "data was "),
    ],
)
def test_a_folder_of_other_settings_is_refused(
    training: Training, settings: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    api.benefit(**settings)
    before = contents(settings["out"])
    with pytest.raises(UsageError, match="belongs to other data or settings") as refused:
        api.benefit(**{**settings, **changes})
    assert says in str(refused.value)
    assert "--out" in refused.value.hint
    assert contents(settings["out"]) == before


def test_a_data_set_that_has_changed_is_refused(
    training: Training, settings: dict[str, Any], tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    api.convert(settings["data"], prepared)
    api.benefit(**{**settings, "data": prepared})
    before = contents(settings["out"])
    shutil.rmtree(prepared)
    api.convert(settings["data"], prepared, split=(0.5, 0.5))
    with pytest.raises(UsageError, match="have changed since the first run"):
        api.benefit(**{**settings, "data": prepared})
    assert contents(settings["out"]) == before


def test_a_run_of_other_settings_among_the_others_is_refused(
    training: Training, settings: dict[str, Any]
) -> None:
    api.benefit(**settings)
    path = settings["out"] / "runs" / "scratch-1" / "config.json"
    write_json(path, {**read_json(path), "epochs": 9})
    with pytest.raises(UsageError, match=r"scratch-1 was trained with other settings"):
        api.benefit(**settings)


def test_a_folder_of_somebody_else_is_left_alone(
    training: Training, settings: dict[str, Any]
) -> None:
    settings["out"].mkdir()
    (settings["out"] / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        api.benefit(**settings)
    for content in ("{}", '{"settings": 3}', "[]"):
        (settings["out"] / "settings.json").write_text(content)
        with pytest.raises(DataError, match=r"settings\.json.*does not say"):
            api.benefit(**settings)
    assert training.trained == []


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"seeds": 1}, UsageError, "seeds is 1"),
        ({"strategy": "scratch"}, UsageError, "transfers nothing"),
        ({"strategy": "gradul"}, UsageError, "gradul"),
        ({"patience": 3}, UsageError, "patience cannot be set"),
        ({"measure_start": True}, UsageError, "measure_start cannot be set"),
        ({"epoch": 3}, UsageError, "unknown setting 'epoch'"),
        ({"augment": "nonsense"}, UsageError, "nonsense"),
        ({"freeze": 99}, UsageError, "99"),
        ({"device": "97"}, MachineError, "97"),
        ({"weights": "none.pt"}, WeightsError, "none.pt"),
        ({"data": Path("nowhere")}, DataError, "nowhere"),
        ({"split": (1.0, 0.0, 0.0)}, UsageError, "the split 1,0,0"),
    ],
)
def test_what_cannot_be_used_leaves_nothing(
    training: Training,
    settings: dict[str, Any],
    changes: dict[str, Any],
    kind: type[DetectTLError],
    says: str,
) -> None:
    with pytest.raises(kind) as refused:
        api.benefit(**{**settings, **changes})
    assert says in str(refused.value)
    assert list(settings["out"].parent.iterdir()) == []
    assert training.trained == []
