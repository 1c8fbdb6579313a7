"""`detect-tl benefit`: what it prints, and a real measurement that is interrupted and goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from detect_tl.api.benefits import BenefitResult
from detect_tl.evaluation.benefit import measure_benefit
from detect_tl.evaluation.course import Course
from tests.cli.conftest import Run, refused


def course(seed: int, *values: float) -> Course:
    return Course(seed, values, tuple(4.0 * k for k in range(len(values))))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What reached the api, which answers at once."""
    seen: dict[str, Any] = {}
    ours = (course(0, 0.3, 0.4, 0.5, 0.55), course(1, 0.3, 0.42, 0.5, 0.55))
    theirs = (course(0, 0.0, 0.1, 0.2, 0.5), course(1, 0.0, 0.1, 0.2, 0.6))

    def answer(data: Path, *, progress: object, **settings: Any) -> BenefitResult:
        seen.update(settings, data=data)
        found = measure_benefit(ours, theirs)
        return BenefitResult(settings["out"], data, "detect", "yolo11n", "lp-ft", found)

    monkeypatch.setattr("detect_tl.api.benefit", answer)
    return seen


def test_a_table_and_an_answer_to_each_question(run: Run, measured: dict[str, Any]) -> None:
    result = run("benefit", "pictures", "--out", "gain")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0].split() == "mAP50-95 transfer scratch difference 95 % interval".split()
    assert [line.split()[:4] for line in lines[2:5]] == [
        ["start", "0.300", "0.000", "0.300"],
        ["slope", "per", "epoch", "0.1100"],
        ["asymptote", "0.550", "0.550", "0.000"],
    ]
    assert lines[5:] == [
        "higher start: yes: 0.300 more with transfer (95 % interval 0.300 to 0.300)",
        (
            "higher slope: not shown: the 95 % interval of the difference, -0.1171 to 0.1371,"
            " contains 0"
        ),
        (
            "higher asymptote: not shown: the 95 % interval of the difference, -0.635 to 0.635,"
            " contains 0"
        ),
        (
            "time: transfer reached the best of scratch with 1 of 2 seeds: on average in epoch 2,"
            " after 8 s; scratch itself in epoch 3, after 12 s"
        ),
        "strategy lp-ft from yolo11n; runs and figures: gain",
        f"picture: {Path('gain', 'benefit.png')}",
        (
            "verdict: transfer helps on this data: a higher start; a higher slope or asymptote is"
            " not shown"
        ),
    ]


def test_json_holds_all_of_it(run: Run, measured: dict[str, Any]) -> None:
    said = json.loads(run("benefit", "pictures", "--json").stdout)
    assert said["seeds"] == [0, 1]
    assert said["start"]["difference"] == {"mean": 0.3, "low": 0.3, "high": 0.3}
    assert said["start"]["answer"] == "yes"
    assert said["courses"]["scratch"][1]["mAP50-95"] == [0.0, 0.1, 0.2, 0.6]
    assert [each["epoch"] for each in said["time_to_best_of_scratch"]] == [2, None]


def test_the_options_of_a_training_reach_the_runs(run: Run, measured: dict[str, Any]) -> None:
    defaults = run("benefit", "pictures")
    assert defaults.exit_code == 0
    assert (measured["seeds"], measured["epochs"], measured["strategy"]) == (3, 20, "auto")
    assert measured["out"] == Path("runs/benefit")
    assert not {"patience", "measure_start"} & measured.keys()
    run("benefit", "pictures", "--lr", "0.01", "--from", "voc", "--seed", "4", "--no-amp")
    found = [measured[name] for name in ("lr", "from_format", "seed", "amp")]
    assert found == [0.01, "voc", 4, False]


def test_ctrl_c_says_how_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_data: object, **_settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detect_tl.api.benefit", interrupted)
    arguments = ("benefit", "pictures", "--out", tmp_path)
    assert "nothing to go on with" in run(*arguments).stderr
    (tmp_path / "settings.json").touch()
    refused(run(*arguments), 130, "interrupted", "Repeat the command to go on")


def test_wrong_usage_is_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "gain")
    refused(run("benefit", pictures, "--seeds", "1", *out), 2, "--seeds")
    refused(run("benefit", pictures, "--strategy", "scratch", *out), 2, "transfers nothing")
    refused(run("benefit", pictures, "--patience", "3", *out), 2, "--patience")
    refused(run("benefit", tmp_path / "none", *out, "--device", "cpu"), 3, "no such file")
    assert not (tmp_path / "gain").exists()


# -- for real --------------------------------------------------------------------------------

SMALL = ("--imgsz", "64", "--batch", "4", "--device", "cpu", "--workers", "0")


def epochs(run: Path) -> list[int]:
    path = run / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


def stamps(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on_to_its_end(
    run: Run, shapes: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gain"
    arguments = [
        "benefit", shapes, "--weights", small_checkpoint, "--out", out,
        "--epochs", "3", "--seeds", "2", *SMALL,
    ]  # fmt: skip
    said, code = interrupt(arguments, out / "runs" / "scratch-0")
    assert code == 130, said
    assert "Repeat the command to go on" in said
    finished = stamps(out / "runs" / "transfer-0")
    assert epochs(out / "runs" / "scratch-0")[-1] < 3

    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    runs = ["scratch-0", "scratch-1", "transfer-0", "transfer-1"]
    assert sorted(path.name for path in (out / "runs").iterdir()) == runs
    assert all(epochs(out / "runs" / name) == [0, 1, 2, 3] for name in runs)
    assert stamps(out / "runs" / "transfer-0") == finished
    assert json.loads((out / "benefit.json").read_text()) == json.loads(done.stdout)
    assert (out / "benefit.png").is_file()
    assert not list((out / "runs").glob("*/dataset"))  # all read the one beside them

    before = stamps(out)
    told = refused(run(*arguments, "--lr", "0.5"), 2, "belongs to other", "lr was None")
    assert str(out) in told[0]
    assert stamps(out) == before


def interrupt(arguments: list[Any], run: Path) -> tuple[str, int]:
    """Send Ctrl-C to a command when `run` has had its first epoch; what it said, and its code."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DETECT_TL_")}
    child = subprocess.Popen(
        [sys.executable, "-m", "detect_tl", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, "DETECT_TL_OFFLINE": "1"},
    )
    deadline = time.monotonic() + 400
    while not epochs(run) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    return said, child.returncode
