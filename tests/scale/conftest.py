"""A Ray for all tests of the room, and pictures with exact answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ray.cluster_utils import Cluster as Nodes

from detect_tl.core.images import write_image
from detect_tl.scale.cluster import Cluster, connected
from tests.runtime.conftest import detect_model, picture  # noqa: F401  # a fixture


@pytest.fixture(scope="module")
def two_cores(monkeypatch_module: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A Ray of two cores in this process; `connected` finds it and leaves it."""
    monkeypatch_module.setattr("detect_tl.scale.cluster.cores", lambda: 2)
    with connected() as cluster:
        yield cluster


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A cluster of two nodes with a core each, which notices in seconds when one is gone."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    store = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Nodes(
        initialize_head=True,
        head_node_args={**store, "include_dashboard": False, "_system_config": soon},
    )
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def coloured(folder: Path, count: int, *, side: int = 64) -> Path:
    """Pictures with two cells at places that depend on their number, in folders of ten."""
    rng = np.random.default_rng(count)
    for number in range(count):
        x, y = (8 * rng.integers(0, side // 8 - 1, 2)).tolist()
        colour = ("red", "green", "blue")[number % 3]
        image = picture(side, side, (x, y, x + 8, y + 8, colour), (0, 0, 8, 8, "red"))
        path = folder / f"f{number // 10}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, image)
    return folder
