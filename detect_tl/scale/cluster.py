"""A Ray to work on: one of this machine that ends with the work, or a cluster that is there."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detect_tl.core.errors import MachineError, UsageError
from detect_tl.core.parallel import cores
from detect_tl.core.progress import Progress, Silent
from detect_tl.core.words import counted, listed

AUTO = "auto"
CLIENT = "ray://"

_STDERR = 2
_PROBE_SECONDS = 5.0
_PACKAGES = "ray", "pyarrow", "fsspec"
_INSTALL = 'Install it with: pip install "detect-tl[ray]"'
_SHORTER = "Set RAY_TMPDIR to a folder with a short path: sockets have no room for long ones."
_START = "Start one with `ray start --head`, or leave --address out to use this machine alone."

# Ray reads these when it is loaded, and its processes inherit them: nothing is sent anywhere, GPUs
# are not hidden from tasks that ask for none, nobody looks for an environment of uv, and errors
# arrive as exceptions alone.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}

_LEAST_STORE, _MOST_STORE = 80 * 2**20, 2 * 2**30
"""Bytes of shared memory for what is on its way between processes; Ray takes no less."""
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it

# HTTP/2, which everything of Ray speaks: how a client begins, and an empty frame of settings.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS_FRAME = 4


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is to work with. cpus, gpus: of all living nodes together.

    address: as it was given; None for the Ray of this machine. ours: it ends with the block.
    """

    address: str | None
    nodes: int
    cpus: int
    gpus: int
    ours: bool

    @property
    def through_client(self) -> bool:
        """Whether this process is no part of the cluster, and talks to it through a server."""
        return self.address is not None and self.address.startswith(CLIENT)

    def __str__(self) -> str:
        gpus = f", {counted(self.gpus, 'GPU')}" if self.gpus else ""
        return f"{counted(self.nodes, 'node')}, {counted(self.cpus, 'core')}{gpus}"


def check_installed() -> None:
    """Raise MachineError where Ray, or what its extra brings, is missing."""
    missing = [name for name in _PACKAGES if not _is_there(name)]
    if "ray" in missing:
        raise MachineError("Ray is not installed, and --engine ray needs it", hint=_INSTALL)
    if missing:
        raise MachineError(f"--engine ray needs what is missing: {listed(missing)}", hint=_INSTALL)


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def connected(address: str | None = None, progress: Progress | None = None) -> Iterator[Cluster]:
    """Give a Ray to work on.

    address: None: one of this machine, on the cores that this process may use, which ends with the
    block. Else a cluster that is there and stays: "auto" for the one that this machine is a node
    of, "host:port" of its head for the same, or "ray://host:port" from outside.
    Where this process is connected already, that is used and stays.

    Raises MachineError when Ray is not installed, or nothing answers at the address.
    """
    check_installed()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    show = progress or Silent()
    if ray.is_initialized():
        yield _described(address, ours=False)
        return
    with _own_signals():
        _start_here() if address is None else _join(address)
    with redirect_stdout(_Talk()):
        try:
            cluster = _described(address, ours=address is None)
            show.say(f"Ray {ray.__version__}: {cluster}")
            yield cluster
        finally:
            ray.shutdown()


def lost_nodes(cluster: Cluster) -> int:
    """How many nodes fewer there are now than when it was joined."""
    import ray

    alive = sum(bool(node["Alive"]) for node in ray.nodes())
    return max(cluster.nodes - alive, 0)


def _described(address: str | None, *, ours: bool) -> Cluster:
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    totals = [node.get("Resources", {}) for node in nodes]
    cpus, gpus = (int(sum(total.get(kind, 0) for total in totals)) for kind in ("CPU", "GPU"))
    return Cluster(address, len(nodes), cpus, gpus, ours)


def _start_here() -> None:
    _ray_init(
        "local",
        num_cpus=cores(),
        include_dashboard=False,
        object_store_memory=_store_bytes(),
    )


def _join(address: str) -> None:
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS", AUTO)
    if address not in (AUTO, "local"):
        _probe(address)
    _ray_init(address)


def _ray_init(address: str, **settings: Any) -> None:
    import ray

    try:
        with _no_stderr():
            ray.init(address, log_to_driver=False, logging_level="ERROR", **settings)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError, OSError) as error:
        with suppress(Exception):  # whatever was half begun
            ray.shutdown()
        if address == "local":
            raise MachineError(
                f"Ray does not start on this machine: {_first(error)}",
                hint=_SHORTER if "AF_UNIX" in str(error) else "",
            ) from error
        if address == AUTO:
            raise MachineError("this machine is part of no Ray cluster", hint=_START) from error
        raise MachineError(f"cannot join {address}: {_first(error)}", hint=_START) from error


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _probe(address: str) -> None:
    """See in a few seconds whether anything of Ray answers, for which Ray itself takes minutes.

    Raises UsageError for what is no address, and MachineError when there is no answer.
    """
    host, _, port = address.removeprefix(CLIENT).partition("?")[0].rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(
            f"{address} is no address of a Ray cluster",
            hint="It is auto, HOST:PORT or ray://HOST:PORT.",
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECONDS) as line:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            line.sendall(_PREFACE)
            answer = line.recv(9)
    except (OSError, OverflowError) as error:
        raise MachineError(f"nothing answers at {address}: {error}", hint=_START) from error
    if len(answer) < 4 or answer[3] != _SETTINGS_FRAME:
        raise MachineError(f"what answers at {address} is no Ray cluster", hint=_START)


def _store_bytes() -> int:
    import psutil

    room = psutil.virtual_memory().available // 5
    if _SHARED_MEMORY.is_dir():
        room = min(room, shutil.disk_usage(_SHARED_MEMORY).free * 9 // 10)
    return max(_LEAST_STORE, min(room, _MOST_STORE))


class _Talk(io.TextIOBase):
    """In place of stdout, which is for results: Ray prints there when a node or a worker dies.

    That goes nowhere, as what matters of it becomes an error or a finding; all else goes to stderr.
    """

    def __init__(self) -> None:
        self._dropped = False

    def write(self, text: str) -> int:
        drop = "(raylet)" in text or (self._dropped and text == "\n")
        self._dropped = drop and text != "\n"
        if not drop:
            sys.stderr.write(text)
        return len(text)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Keep from people what the libraries of Ray tell them while it starts; errors are raised."""
    sys.stderr.flush()
    with Path(os.devnull).open("wb") as nowhere:
        kept = os.dup(_STDERR)
        os.dup2(nowhere.fileno(), _STDERR)
    try:
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on SIGTERM, which Ray would replace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
