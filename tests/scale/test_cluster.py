"""Finding a Ray, saying clearly where there is none, and keeping quiet."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest
import ray

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.scale.cluster import Cluster, connected
from tests.cli.conftest import process
from tests.scale.conftest import coloured

NO_RAY = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "ray" or name.startswith("ray."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def test_without_ray_it_says_how_to_install_it(tmp_path: Path) -> None:
    code = NO_RAY + "from detect_tl.cli.app import main; main()"
    done = process(["predict", "yolo11n", tmp_path, "--engine", "ray"], code=code)
    assert done.returncode == 5
    assert done.stderr.splitlines() == [
        "Error: Ray is not installed, and --engine ray needs it",
        'Install it with: pip install "detect-tl[ray]"',
    ]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "no-such-host.invalid:1"])
def test_where_nothing_answers_it_says_so(address: str) -> None:
    with pytest.raises(MachineError, match="nothing answers at") as refused, connected(address):
        pass
    assert "ray start --head" in refused.value.hint


def test_a_temporary_folder_with_a_long_path_has_a_way_out(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    code = """
        from detect_tl.core.errors import MachineError
        from detect_tl.scale.cluster import connected
        try:
            with connected():
                pass
        except MachineError as error:
            print(error.hint)
    """
    environment = {**os.environ, "TMPDIR": str(long), "RAY_TMPDIR": str(long)}
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "RAY_TMPDIR" in done.stdout, done.stderr


@pytest.mark.parametrize("address", ["somewhere", "host:", ":123", "ray://host"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"), connected(address):
        pass


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_another_server_is_no_cluster(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.recv(100)
                line.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(MachineError, match="is no Ray cluster"), connected(address):
            pass
        thread.join()


def test_an_address_needs_the_engine(tmp_path: Path) -> None:
    done = process(["predict", "yolo11n", tmp_path, "--address", "auto"])
    assert done.returncode == 2
    assert "goes with --engine ray" in done.stderr
    done = process(["predict", "yolo11n", tmp_path, "--column", "path"])
    assert done.returncode == 2
    assert "goes with --engine ray" in done.stderr


@pytest.mark.parametrize("given", ["options", "environment", "file"])
def test_engine_and_address_come_from_where_options_do(
    given: str, detect_model: Path, tmp_path: Path
) -> None:
    coloured(tmp_path / "images", 1)
    options: list[object] = []
    environment = dict(os.environ)
    if given == "options":
        options = ["--address", "127.0.0.1:1", "--engine", "ray"]
    elif given == "environment":
        environment |= {"DETECT_TL_ENGINE": "ray", "DETECT_TL_PREDICT_ADDRESS": "127.0.0.1:1"}
    else:
        (tmp_path / "config.yaml").write_text("address: 127.0.0.1:1\nengine: ray\n")
        options = ["--config", tmp_path / "config.yaml"]
    command = ["predict", detect_model, tmp_path / "images", "--out", tmp_path / "out", *options]
    done = process(command, env=environment)
    assert done.returncode == 5, done.stderr
    assert "nothing answers at 127.0.0.1:1" in done.stderr


@pytest.mark.slow
def test_a_ray_of_this_machine_ends_with_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with connected() as cluster:
        assert cluster.ours
        assert (cluster.nodes, cluster.gpus) == (1, 0)
        assert signal.getsignal(signal.SIGTERM) == before
        sys.stdout.write("(raylet) a node died, and the state of all its parts\n")
        sys.stdout.write("what others print")
        with connected("auto") as same:
            assert not same.ours
            assert same.cpus == cluster.cpus
        assert ray.is_initialized()
        address = ray.get_runtime_context().gcs_address
    assert not ray.is_initialized()
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err == "what others print"
    with pytest.raises(MachineError), connected(address):
        pass


def test_a_cluster_in_words() -> None:
    assert str(Cluster(None, 1, 2, 0, ours=True)) == "1 node, 2 cores"
    assert str(Cluster("auto", 3, 24, 1, ours=False)) == "3 nodes, 24 cores, 1 GPU"
