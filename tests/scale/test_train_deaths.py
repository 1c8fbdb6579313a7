"""A node that is killed in the middle of a training, and a person who ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from threading import Event, Thread

import psutil
import pytest
from ray.cluster_utils import Cluster

from detect_tl import api
from detect_tl.cli.errors import INTERRUPTED
from detect_tl.core.files import read_json
from detect_tl.scale.train import train
from detect_tl.training.folder import RunFolder
from tests.scale.test_train import epochs, rows
from tests.training.conftest import shapes, small_checkpoint  # noqa: F401  # fixtures

pytestmark = pytest.mark.slow


def test_what_is_left_of_a_cluster_goes_on_after_the_last_epoch(
    two_nodes: Cluster,
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    node = two_nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    two_nodes.wait_for_nodes()
    run = tmp_path / "run"

    def kill() -> None:
        while not (run / "metrics.csv").exists() or not epochs(run):
            Event().wait(0.05)
        two_nodes.remove_node(node, allow_graceful=False)

    killer = Thread(target=kill)
    killer.start()
    settings = {"epochs": 8, "imgsz": 64, "batch": 4, "device": "cpu", "freeze": "none"}
    result = train(
        shapes,
        workers=2,
        address=two_nodes.address,
        out=run,
        weights=str(small_checkpoint),
        **settings,
    )
    killer.join()
    assert epochs(result.run) == list(range(1, 9))
    assert RunFolder(result.run).finished
    assert read_json(run / "cluster.json") == {"processes": 1, "cores": 1, "gpu": False}


# Ray counts as many cores as it is told, also where tests are kept to one.
_ON_TWO_CORES = """
from detect_tl.cli import app
from detect_tl.scale import cluster
cluster.cores = lambda: 2
app.main()
"""


def test_ctrl_c_ends_all_processes_and_leaves_what_can_be_gone_on_with(
    shapes: Path,  # noqa: F811
    small_checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """As in a terminal, where it reaches the processes that Ray started too."""
    run, scratch = tmp_path / "run", tmp_path / "scratch"
    scratch.mkdir()
    words = f"--weights {small_checkpoint} --epochs 6 --imgsz 64 --batch 4 --device cpu"
    words += f" --freeze none --engine ray --workers 2 --out {run}"
    command = [sys.executable, "-c", _ON_TWO_CORES, "train", str(shapes), *words.split()]
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(scratch), "RAY_TMPDIR": gettempdir()},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as driver:
        try:
            while not (run / "metrics.csv").exists() or not epochs(run):
                assert driver.poll() is None, driver.communicate()
                Event().wait(0.05)
            others = psutil.Process(driver.pid).children(recursive=True)
            assert len(list(scratch.glob("detect-tl-*/run"))) == 2
            os.killpg(driver.pid, signal.SIGINT)
            _, said = driver.communicate(timeout=60)
        finally:
            driver.kill()
    assert driver.returncode == INTERRUPTED
    assert said.decode().endswith(f"interrupted\nGo on with `detect-tl resume {run}`.\n")
    _, left = psutil.wait_procs(others, timeout=30)
    assert not left
    waited = 0
    while list(scratch.glob("detect-tl-*")):
        assert waited < 300, "the folders of processes stay"
        waited += 1
        Event().wait(0.1)
    before = rows(run)
    result = api.resume(run)
    assert epochs(result.run) == list(range(1, 7))
    assert rows(result.run)[: len(before)] == before
