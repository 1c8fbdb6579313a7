"""Nodes that are killed while data sets are checked and converted: no loss, and nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import orjson
import pytest
from ray.cluster_utils import Cluster as Nodes

from detect_tl import api
from detect_tl.core.errors import MachineError
from detect_tl.core.parallel import spread
from detect_tl.core.progress import Silent, Step
from detect_tl.core.shard_size import ShardSize
from detect_tl.curate import placing
from detect_tl.curate.checks import apart
from detect_tl.scale import data as room
from detect_tl.scale.spread import on_ray
from tests.conftest import ROOT
from tests.curate.messy import messy
from tests.curate.test_convert import files

SAMPLE = ROOT / "datasets" / "sample"

pytestmark = pytest.mark.slow


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_DECODED_TOGETHER", 9)
    monkeypatch.setattr(placing, "_TOGETHER", 9)


_STORE = {"object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head that computes nothing and notices in seconds when a node is dead.

    Like machines with a shared drive, all nodes see the same files.
    """
    soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {**_STORE, "num_cpus": 0, "include_dashboard": False, "_system_config": soon}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Nodes(initialize_head=True, head_node_args=head)
        try:
            yield made
        finally:
            made.shutdown()


def with_two(nodes: Nodes) -> None:
    """Have two nodes of a core each beside the head."""
    while len(nodes.worker_nodes) < 2:
        nodes.add_node(num_cpus=1, **_STORE)
    nodes.wait_for_nodes()


class KillsOne(Silent):
    """Kills a node of a cluster when the first part of the work has arrived."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.killed = 0

    @contextmanager
    def step(self, text: str, total: float | None = None) -> Iterator[Step]:
        del text, total
        yield self

    def advance(self, amount: float = 1) -> None:
        del amount
        if not self.killed:
            self.killed += 1
            self._nodes.remove_node(next(iter(self._nodes.worker_nodes)), allow_graceful=False)

    def describe(self, text: str) -> None:
        del text


@pytest.mark.usefixtures("_small_parts")
def test_a_node_that_is_killed_changes_no_finding(nodes: Nodes, tmp_path: Path) -> None:
    bad = messy(tmp_path / "in", 1)
    here = api.check(bad)
    with_two(nodes)
    killer = KillsOne(nodes)
    there = room.check(bad, address=nodes.address, progress=killer)
    assert killer.killed == 1
    assert orjson.dumps(there.as_json()) == orjson.dumps(here.as_json())


@pytest.mark.usefixtures("_small_parts")
def test_a_node_that_is_killed_changes_no_byte(nodes: Nodes, tmp_path: Path) -> None:
    size = ShardSize(images=9)
    api.convert(SAMPLE, tmp_path / "here", to=["webdataset"], shard_size=size)
    with_two(nodes)
    killer = KillsOne(nodes)
    out, options = tmp_path / "there", {"to": ["webdataset"], "shard_size": size}
    room.convert(SAMPLE, out, address=nodes.address, progress=killer, **options)
    assert killer.killed == 1
    assert files(out) == files(tmp_path / "here")


def test_a_task_that_was_under_way_is_done_again_and_counted_once(
    nodes: Nodes, tmp_path: Path
) -> None:
    """The task says which node has it and waits for ever; that node is killed."""
    mark = tmp_path / "mark"
    with_two(nodes)
    alive = {node.node_id: node for node in nodes.list_all_nodes()}

    def kill() -> None:
        while not mark.is_file() or not mark.read_text():
            Event().wait(0.02)
        nodes.remove_node(alive[mark.read_text()], allow_graceful=False)

    with on_ray(nodes.address, [], None):
        thread = Thread(target=kill)
        thread.start()
        results = list(spread(_waits_at_three, [(k, str(mark)) for k in range(8)]))
        thread.join()
    assert results == [k * k for k in range(8)]


def test_without_any_node_nothing_is_waited_for(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detect_tl.scale.spread._PATIENCE", 2)
    for node in list(nodes.worker_nodes):
        nodes.remove_node(node, allow_graceful=False)
    with pytest.raises(MachineError, match="no node with a core"), on_ray(nodes.address, [], None):
        list(spread(_waits_at_three, [(0, "")]))


def _waits_at_three(task: tuple[int, str]) -> int:
    number, mark = task
    if number == 3:
        try:
            descriptor = os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:  # the second time, elsewhere
            return number * number
        import ray

        os.write(descriptor, ray.get_runtime_context().get_node_id().encode())
        Event().wait()
    return number * number
