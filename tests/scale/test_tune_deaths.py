"""A machine that is lost in the middle of a search: its trial goes on to the same end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from ray.cluster_utils import Cluster

from detect_tl.core.progress import Silent
from detect_tl.models.checkpoint import load_checkpoint
from detect_tl.scale.tune import tune
from detect_tl.training.config import TrainConfig
from detect_tl.training.folder import RunFolder
from detect_tl.training.trials import Rungs, Search, carry_out
from detect_tl.transfer.space import Space
from tests.training.conftest import shapes  # noqa: F401  # a fixture

pytestmark = pytest.mark.slow

EPOCHS = 6


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    """A cluster of two nodes with a core each, which notices in seconds when one is gone."""
    soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 10}
    store = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**store, "_system_config": soon})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def lines(run: RunFolder) -> int:
    return run.metrics.read_text().count("\n") if run.metrics.exists() else 0


def test_a_trial_of_a_lost_machine_goes_on_to_the_same_end(
    two_nodes: Cluster,
    shapes: Path,  # noqa: F811
    repository: Path,
    tmp_path: Path,
) -> None:
    node = two_nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    two_nodes.wait_for_nodes()
    (tmp_path / "space.yaml").write_text("strategy: [full]\n")
    settings: dict[str, Any] = {
        "weights": str(repository / "weights" / "starter.pt"),
        "epochs": EPOCHS,
        "imgsz": 64,
        "batch": 4,
        "device": "cpu",
        "workers": 0,
    }
    out = tmp_path / "tuned"

    def kill() -> None:
        """When both trials have an epoch, and none has ended."""
        runs = [RunFolder(out / "trials" / name) for name in ("000", "001")]
        deadline = time.monotonic() + 300
        while min(map(lines, runs)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        two_nodes.remove_node(node, allow_graceful=False)

    killer = Thread(target=kill)
    killer.start()
    result = tune(
        shapes,
        **settings,
        out=out,
        trials=2,
        space=tmp_path / "space.yaml",
        first_rung=EPOCHS,  # nothing is stopped: both must come to their end
        address=two_nodes.address,
        parallel=2,
        keep_all=True,
    )
    killer.join()
    assert [(r.number, r.epochs, r.ending) for r in result.records] == [
        (0, EPOCHS, "complete"),
        (1, EPOCHS, "complete"),
    ]
    starts = [len(list(out.glob(f"trials/{name}/tensorboard/*"))) for name in ("000", "001")]
    assert sorted(starts) == [1, 2]  # that of the lost machine was begun twice
    common = TrainConfig.parse({**settings, "data": out / "dataset"})
    alone = Search(tmp_path / "alone", common, Space({}), Rungs.of(EPOCHS), 2)
    for record in result.records:
        again = carry_out(
            alone, record.number, record.settings, lambda *_: True,
            progress=Silent(), threads=1, began=0.0,
        )  # fmt: skip
        assert max(again.values) > 0
        assert again.values == record.values
        ours, theirs = (
            load_checkpoint(found.run(record.number).last).model.state_dict()
            for found in (alone, replace(alone, folder=out))
        )
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
