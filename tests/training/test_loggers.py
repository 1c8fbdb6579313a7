"""The numbers of every epoch reach TensorBoard and MLflow, as metrics.csv has them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detect_tl.evaluation.plots import read_curves
from detect_tl.training.folder import RunFolder
from detect_tl.training.loggers import MLFLOW_VARIABLE, listeners, tensorboard
from detect_tl.training.run import train
from tests.training.test_run import config

MAP = "metrics/mAP50-95(B)"


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {
        name: [(event.step, event.value) for event in read.Scalars(name)]
        for name in read.Tags()["scalars"]
    }


def test_an_epoch_that_is_done_again_is_there_once(tmp_path: Path) -> None:
    with tensorboard(tmp_path, 1) as tell:
        for epoch in (1, 2, 3):
            tell(epoch, {"loss": float(epoch), "odd": float("nan")})
    with tensorboard(tmp_path, 3) as tell:  # the third was interrupted
        for epoch in (3, 4):
            tell(epoch, {"loss": 10.0 + epoch})
    assert events(tmp_path) == {"loss": [(1, 1.0), (2, 2.0), (3, 13.0), (4, 14.0)]}


@pytest.mark.slow
def test_nothing_is_logged_that_was_not_asked_for(
    shapes: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics, on its own, writes a database wherever MLflow is installed."""
    monkeypatch.chdir(tmp_path)
    train(config(shapes, small_checkpoint, tmp_path / "run", epochs=1))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_a_run_writes_events(shapes: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    run = train(config(shapes, small_checkpoint, tmp_path / "run")).run
    curves = {
        name.replace("(", "_").replace(")", ""): values
        for name, values in read_curves(run.metrics).items()
    }
    seen = events(run.path / "tensorboard")
    assert set(seen) == set(curves) - {"epoch", "time"}
    for name, values in seen.items():
        assert [step for step, _ in values] == [1, 2]
        assert [value for _, value in values] == pytest.approx(curves[name], rel=1e-5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server with its database in a temporary folder."""
    pytest.importorskip("mlflow", reason="MLflow is not installed (detect-tl[dev])")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1",
        "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{address}/health", running, folder / "log")
            yield address
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def _wait_for(address: str, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - our own
                return
        except OSError:
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


def runs_at(server: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(server)
    found = client.get_experiment_by_name("detect-tl")
    return list(client.search_runs([found.experiment_id])) if found else []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of its own libraries
def test_a_run_is_logged_to_mlflow(
    server: str,
    shapes: Path,
    small_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv(MLFLOW_VARIABLE, server)
    run = train(config(shapes, small_checkpoint, tmp_path / "run")).run
    (logged,) = runs_at(server)
    assert logged.info.status == "FINISHED"
    assert logged.info.run_name == "run"
    assert logged.data.params["epochs"] == "2"
    history = MlflowClient(server).get_metric_history(logged.info.run_id, "metrics/mAP50-95_B")
    assert [each.step for each in history] == [1, 2]
    assert [each.value for each in history] == pytest.approx(read_curves(run.metrics)[MAP])
    # resumed, it goes on as the same run there
    with listeners(run, 3, print) as told:
        for tell in told:
            tell(3, {MAP: 0.5})
    (again,) = runs_at(server)
    assert again.info.run_id == logged.info.run_id
    assert again.data.metrics["metrics/mAP50-95_B"] == 0.5


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_does_not_answer_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed (detect-tl[dev])")
    monkeypatch.setenv(MLFLOW_VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said: list[str] = []
    with listeners(RunFolder(tmp_path), 1, said.append) as told:
        for epoch in (1, 2):
            for tell in told:
                tell(epoch, {"loss": 1.0})
    assert len(said) == 1
    assert "MLflow does not answer" in said[0]


def test_without_mlflow_a_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MLFLOW_VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setattr("detect_tl.training.loggers.find_spec", lambda _: None)
    said: list[str] = []
    with listeners(RunFolder(tmp_path), 1, said.append) as told:
        assert len(told) == 1
    assert "detect-tl[mlflow]" in said[0]
