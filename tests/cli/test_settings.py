"""Where values come from: command line before environment before file before default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detect_tl.formats.options import ReadOptions
from detect_tl.training.config import TrainConfig
from tests.cli.conftest import Run, refused


class Stop(Exception):  # noqa: N818  # not an error: it ends a command that has been parsed
    """Carries what a command was about to do."""


@pytest.fixture
def trained(run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call `train` and return the settings that reached the api."""
    seen: dict[str, Any] = {}

    def keep(data: Path, *, progress: object, **settings: Any) -> None:
        seen.update(settings, data=data)
        raise Stop

    monkeypatch.setattr("detect_tl.api.train", keep)

    def call(*arguments: object) -> dict[str, Any]:
        seen.clear()
        result = run("train", *arguments)
        assert seen, result.output
        return seen

    return call


def test_defaults_are_those_of_the_configuration(trained: Any) -> None:
    settings = trained("pictures")
    assert TrainConfig.parse(settings) == TrainConfig(data=Path("pictures"))


def test_precedence(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("epochs: 3\nimgsz: 320\nbatch: 2\nseed: 5\n")
    monkeypatch.setenv("DETECT_TL_IMGSZ", "96")
    monkeypatch.setenv("DETECT_TL_BATCH", "3")
    monkeypatch.setenv("DETECT_TL_TRAIN_BATCH", "4")  # the more specific one
    monkeypatch.setenv("DETECT_TL_SEED", "6")
    settings = trained("pictures", "--config", file, "--seed", "7")
    found = {name: settings[name] for name in ("epochs", "imgsz", "batch", "seed", "patience")}
    assert found == {"epochs": 3, "imgsz": 96, "batch": 4, "seed": 7, "patience": 100}


def test_the_folder_of_weights_is_not_the_name_of_weights(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECT_TL_WEIGHTS", str(tmp_path))
    assert trained("pictures")["weights"] == "yolo11n"
    monkeypatch.setenv("DETECT_TL_TRAIN_WEIGHTS", "yolov8n")
    assert trained("pictures")["weights"] == "yolov8n"


def test_a_file_holds_every_kind_of_value(trained: Any, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        "data: pictures\nfreeze: [0, 1]\nsplit: [0.7, 0.3]\nclose-mosaic: 2\namp: false\n"
        "from: voc\nlr: 0.001\nout: runs/a\nannotations: '*.csv'\ncolumns: {image: file}\n"
    )
    config = TrainConfig.parse(trained("--config", file))
    assert config.freeze == (0, 1)
    assert config.split == (0.7, 0.3, 0.0)
    assert (config.close_mosaic, config.amp, config.from_format) == (2, False, "voc")
    assert (config.lr, config.out, config.data) == (0.001, Path("runs/a"), Path("pictures"))
    assert config.reading == ReadOptions("voc", "*.csv", {"image": "file"})


def test_columns_are_pairs(trained: Any, run: Run) -> None:
    settings = trained("pictures", "--columns", "image=file, label = species")
    assert settings["columns"] == {"image": "file", "label": "species"}
    for wrong in ("image", "=file", "image=a,image=b"):
        result = run("train", "pictures", "--columns", wrong)
        assert result.exit_code == 2
        assert "--columns" in result.stderr


def test_the_configuration_of_a_run_can_be_given_again(trained: Any, tmp_path: Path) -> None:
    config = TrainConfig(data=Path("pictures"), freeze=3, epochs=2, split=(0.5, 0.5, 0.0))
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    again = TrainConfig.parse(trained("--config", file, "--out", "elsewhere"))
    assert again == config.model_copy(update={"out": Path("elsewhere")})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epoch: 3\n", ("epoch", "epochs")),
        ("epochs: 3\nimg_sz: 4\n", ("img_sz", "imgsz")),
        ("epochs: [3\n", ("settings.yaml:2", "broken YAML")),
        ("- epochs\n", ("names with values",)),
        ("epochs: three\n", ("--epochs", "three")),
    ],
)
def test_wrong_files_are_refused(
    run: Run, tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    result = run("train", "pictures", "--config", file)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.output


def test_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    result = run("train", "pictures", "--config", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("DETECT_TL_EPOCH", "DETECT_TL_EPOCHS"),
        ("DETECT_TL_TRAIN_EPOCS", "DETECT_TL_TRAIN_EPOCHS"),
        ("DETECT_TL_WEIGHT", "DETECT_TL_WEIGHTS"),
    ],
)
def test_unknown_variables_are_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, near: str
) -> None:
    monkeypatch.setenv(variable, "3")
    refused(run("formats"), 2, variable, near)


def test_variables_of_other_commands_are_no_mistake(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECT_TL_EPOCHS", "3")
    monkeypatch.setenv("DETECT_TL_WEIGHTS_FETCH_TO", "here")
    assert run("formats").exit_code == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [("backbone", "backbone"), ("10", 10), ("0,1,2", (0, 1, 2)), ("none", "none")],
)
def test_what_freezes(trained: Any, given: str, expected: object) -> None:
    assert TrainConfig.parse(trained("pictures", "--freeze", given)).freeze == expected
