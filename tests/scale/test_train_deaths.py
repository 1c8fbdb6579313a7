"""A node that is killed in the middle of a training."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest
from ray.cluster_utils import Cluster

from detect_tl.core.files import read_json
from detect_tl.scale.train import train
from detect_tl.training.folder import RunFolder
from tests.scale.test_train import epochs
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
