"""Processes and nodes that are killed in the middle: every image is done, and once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from detect_tl import api
from detect_tl.scale import detecting
from detect_tl.scale.detecting import RayWorker
from detect_tl.scale.inference import predict
from tests.scale.conftest import coloured
from tests.scale.servers import addresses, served

pytestmark = pytest.mark.slow

COUNT = 60
BACKEND = "onnxruntime"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("images"), COUNT)


def lines(out: Path, address: str) -> bytes:
    """All shards behind one another, with names as they are in the folder."""
    found = b"".join(path.read_bytes() for path in sorted((out / "jsonl").iterdir()))
    return found.replace(f"{address}/".encode(), b"")


def local_lines(model: Path, folder: Path, out: Path) -> bytes:
    result = api.predict(model, folder, out=out, save=["jsonl"], backend=BACKEND)
    return result.files[0].read_bytes()


def wait_for_lines(path: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    while not path.is_file() or path.read_bytes().count(b"\n") < count:
        assert driver.poll() is None, driver.communicate()
        Event().wait(0.02)


def test_a_killed_driver_goes_on_with_what_is_left(
    folder: Path, detect_model: Path, tmp_path: Path
) -> None:
    """Killed when two shards of sixteen are done, and the others are begun."""
    out = tmp_path / "out"
    with served(folder, held=32) as server:
        listed = addresses(server, folder, tmp_path / "list.txt")
        start = [sys.executable, "-m", "detect_tl", "predict"]
        options = ["--engine", "ray", "--save", "jsonl", "--backend", BACKEND, "--json"]
        command = [*start, str(detect_model), str(listed), *options, "--out", str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
            wait_for_lines(out / "done.jsonl", 2, driver)
            helpers = psutil.Process(driver.pid).children(recursive=True)
            agents = {each.pid for each in helpers if "Agent" in each.name()}
            driver.send_signal(signal.SIGKILL)
        (out / "jsonl" / ".part-000002.1-ab.jsonl").write_bytes(b"half a l")
        server.let_go()
        # A Ray of its own ends with the driver; its agents take some minutes to notice.
        _, left = psutil.wait_procs(
            [each for each in helpers if each.pid not in agents], timeout=60
        )
        assert not left
        done = subprocess.run(command, capture_output=True, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (told["images"], told["before"], told["failed"]) == (COUNT, 32, 0)
    assert lines(out, server.address) == local_lines(detect_model, folder, tmp_path / "local")
    assert [path.name for path in sorted((out / "jsonl").iterdir())] == [
        f"part-{number:06}.jsonl" for number in range(4)
    ]


def test_a_node_that_dies_takes_no_image_with_it(
    two_nodes: Cluster, folder: Path, detect_model: Path, tmp_path: Path
) -> None:
    """It dies when both nodes have shards that are begun, and others are done."""
    node = two_nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    two_nodes.wait_for_nodes()
    with served(folder, held=40) as server:

        def kill() -> None:
            # Held pictures of two shards: both actors are at one.
            server.wait_until_asked(lambda asked: len({n // 4 for n in asked if n >= 40}) > 1)
            two_nodes.remove_node(node, allow_graceful=False)
            server.let_go()

        killer = Thread(target=kill)
        killer.start()
        result = predict(
            detect_model,
            addresses(server, folder, tmp_path / "list.txt"),
            address=two_nodes.address,
            out=tmp_path / "out",
            save=["jsonl"],
            backend=BACKEND,
            shard=4,
        )
        killer.join()
    assert result.cluster is not None
    assert (result.cluster.nodes, result.cluster.cpus) == (2, 2)
    assert (result.images, result.failed, result.shards) == (COUNT, 0, 15)
    assert [finding.code for finding in result.findings] == ["cluster.lost-node"]
    expected = local_lines(detect_model, folder, tmp_path / "local")
    assert lines(tmp_path / "out", server.address) == expected


class Mortal(RayWorker):
    """Dies of pictures that are called poison, as of an image that a decoder cannot bear."""

    def __init__(self, *arguments: Any) -> None:
        def decoded(content: Any) -> Any:
            if content == POISON:
                os._exit(1)
            return real(content)

        real, detecting.decoded = detecting.decoded, decoded
        super().__init__(*arguments)


POISON = b"poison"


def test_an_image_that_kills_its_reader_is_a_failure_like_others(
    folder: Path, detect_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detect_tl.scale.stream.RayWorker", Mortal)
    images = tmp_path / "images"
    shutil.copytree(folder, images)
    (images / "f0" / "00005.png").write_bytes(POISON)
    result = predict(
        detect_model, images, out=tmp_path / "out", save=["jsonl"], backend=BACKEND, limit=20
    )
    assert (result.images, result.failed) == (20, 1)
    failures = b"".join(p.read_bytes() for p in sorted((tmp_path / "out/failures").iterdir()))
    found = [json.loads(line) for line in failures.splitlines()]
    assert [(each["frame"], each["error"]) for each in found] == [
        (5, "the process that reads it dies")
    ]
    expected = local_lines(detect_model, folder, tmp_path / "local").splitlines()
    done = lines(tmp_path / "out", "-").splitlines()
    assert done == [expected[number] for number in range(20) if number != 5]
