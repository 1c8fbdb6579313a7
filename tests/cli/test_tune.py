"""`detect-tl tune`: what it prints, and which of its options fix what is searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detect_tl.api.tuning import TuneResult
from detect_tl.evaluation.tuning import Tried, Tuning
from detect_tl.training.trials import TrialRecord
from tests.cli.conftest import Run, refused


def records() -> tuple[TrialRecord, ...]:
    return (
        TrialRecord(0, {}, 0.0, (0.2, 0.4), (5.0, 10.0), "complete"),
        TrialRecord(1, {"lr": 0.01}, 10.0, (0.1,), (6.0,), "stopped"),
        TrialRecord(2, {"strategy": "full"}, 20.0, (0.3, 0.5), (9.0, 18.0), "complete"),
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reached the api, which answers at once."""
    seen: dict[str, Any] = {}

    def answer(data: Path, *, progress: object, **settings: Any) -> TuneResult:
        seen.clear()
        seen.update(settings, data=data)
        found = records()
        words = ("the default", "lr 0.01", "strategy full")
        tried = (
            Tried(r.number, text, r.values, r.seconds, r.began, r.ending)
            for r, text in zip(found, words, strict=True)
        )
        return TuneResult(
            folder=settings["out"],
            data=data,
            weights="yolo11n",
            epochs=2,
            metric="mAP50-95",
            best=settings["out"] / "trials" / "002",
            command="detect-tl train pictures --strategy full",
            tuning=Tuning(tuple(tried), {}),
            records=found,
        )

    monkeypatch.setattr("detect_tl.api.tune", answer)
    monkeypatch.setattr("detect_tl.scale.tune.tune", answer)
    return seen


def test_a_table_from_the_best_down_and_a_verdict(run: Run, asked: dict[str, Any]) -> None:
    result = run("tune", "pictures", "--out", "tuned")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0].split() == "trial settings epochs seconds mAP50-95".split()
    assert [" ".join(line.split()) for line in lines[2:5]] == [
        "2 strategy full 2 18 0.500",
        "0 the default 2 10 0.400",
        "1 lr 0.01 1 6 0.100 stopped early",
    ]
    assert lines[5] == "trial 2 beats the default by 0.100 on val: 0.500 against 0.400"
    assert "a little too good to be true" in lines[6]
    assert lines[7:] == [
        f"best run: {Path('tuned', 'trials', '002')}",
        "again: detect-tl train pictures --strategy full",
        f"picture: {Path('tuned', 'tune.png')}",
        f"report: {Path('tuned', 'report.html')}",
    ]


def test_json_holds_all_of_it(run: Run, asked: dict[str, Any]) -> None:
    said = json.loads(run("tune", "pictures", "--json").stdout)
    assert said["best"]["trial"] == 2
    assert said["beaten"] is True
    assert [trial["curve"] for trial in said["trials"]] == [[0.2, 0.4], [0.1], [0.3, 0.5]]


def test_what_is_given_is_not_searched(
    run: Run, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    searched = {"strategy", "freeze", "lr", "augment", "mosaic", "views", "batch"}
    assert run("tune", "pictures").exit_code == 0
    assert not searched & asked.keys()
    assert (asked["trials"], asked["epochs"], asked["minutes"]) == (12, 50, None)
    run("tune", "pictures", "--mosaic", "1.0", "--epochs", "9")  # the default, but given
    assert searched & asked.keys() == {"mosaic"}
    monkeypatch.setenv("DETECT_TL_TUNE_BATCH", "4")
    (tmp_path / "settings.yaml").write_text("lr: 0.01\n")
    run("tune", "pictures", "--config", tmp_path / "settings.yaml")
    assert searched & asked.keys() == {"batch", "lr"}


def test_options_of_ray_go_with_ray(run: Run, asked: dict[str, Any]) -> None:
    assert run("tune", "pictures", "--engine", "ray", "--parallel", "3").exit_code == 0
    assert (asked["address"], asked["parallel"]) == (None, 3)
    refused(run("tune", "pictures", "--parallel", "3"), 2, "--engine ray")
    refused(run("tune", "pictures", "--address", "auto"), 2, "--engine ray")


def test_wrong_usage_is_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "tuned", "--device", "cpu")
    refused(run("tune", pictures, "--trials", "0", *out), 2, "--trials")
    refused(run("tune", pictures, "--epochs", "0", *out), 2, "nothing to tune")
    refused(run("tune", tmp_path / "none", *out), 3, "no such file")
    (tmp_path / "space.yaml").write_text("mosaik: [1]\n")
    refused(run("tune", pictures, "--space", tmp_path / "space.yaml", *out), 2, "mosaik")
    assert not (tmp_path / "tuned").exists()


def test_ctrl_c_says_how_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_data: object, **_settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detect_tl.api.tune", interrupted)
    arguments = ("tune", "pictures", "--out", tmp_path)
    assert "nothing to go on with" in run(*arguments).stderr
    (tmp_path / "settings.json").touch()
    refused(run(*arguments), 130, "interrupted", "Repeat the command to go on")
