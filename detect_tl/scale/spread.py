"""Tasks of `core.parallel.spread` on the nodes of a Ray cluster, their results in order.

All nodes see the same files under the same paths: a folder that they share, or one machine. Ray
computes the tasks of a node that is lost again on another; what a task writes is the same again.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from detect_tl.core.errors import MachineError
from detect_tl.core.parallel import spread_by
from detect_tl.core.progress import Progress
from detect_tl.scale.cluster import Cluster, connected

# How often a task is tried again after its node was lost or its process killed.
_RETRIES = 5
# Tasks for each core that are on their way: the next is there when one is done.
_AHEAD = 2
# Seconds without a result before one looks whether there is still a node, and for tasks to end.
_PATIENCE = 20

_SHARE = (
    "All nodes have to see the data, the output and the cache of pictures (XDG_CACHE_HOME) under"
    " the same paths, as on a network drive."
)


@contextmanager
def on_ray(
    address: str | None, places: Sequence[Path], progress: Progress | None
) -> Iterator[Cluster]:
    """Have `spread` compute on Ray in this block. address: as `connected` has it.

    places: files and folders that all nodes have to see; of those that are not there yet, the
    folder that they will be in.
    Raises MachineError when Ray is not there, a node sees other files, or too many are lost.
    """
    with connected(address, progress) as cluster:
        _refuse_without_nodes()
        folder = None if all(place.is_absolute() for place in places) else Path.cwd()
        seen = tuple(str(_nearest(place.absolute())) for place in places)
        with spread_by(_Spread(cluster, folder, seen)):
            yield cluster


def _nearest(path: Path) -> Path:
    """The path itself, or the first of its parents that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


class _Spread:
    def __init__(self, cluster: Cluster, folder: Path | None, places: tuple[str, ...]) -> None:
        import ray

        self._most = max(1, cluster.cpus) * _AHEAD + 1
        self._where = (str(folder) if folder else None, places)
        self._remote = ray.remote(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")(
            _computed
        )

    def __call__(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Raise what a task raised; MachineError when it was lost again and again."""
        remaining = iter(tasks)
        running: deque[Any] = deque()
        try:
            while True:
                for task in islice(remaining, self._most - len(running)):
                    given = pickle.dumps((function, task), pickle.HIGHEST_PROTOCOL)
                    running.append(self._remote.remote(given, self._where))
                if not running:
                    return
                yield _result(running.popleft())
        finally:
            _end(running)


def _end(running: Collection[Any]) -> None:
    """End tasks whose results nobody wants any more, before what they write is cleared away."""
    import ray

    for reference in running:
        ray.cancel(reference)
    if running:
        ray.wait(list(running), num_returns=len(running), timeout=_PATIENCE)


def _result(reference: Any) -> Any:
    import ray
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError

    try:
        while True:
            try:
                return pickle.loads(ray.get(reference, timeout=_PATIENCE))  # noqa: S301 - ours
            except GetTimeoutError:
                _refuse_without_nodes()
    except RayTaskError as error:
        cause = error.cause
        raise cause from None
    except RayError as error:
        first = str(error).strip().partition("\n")[0]
        raise MachineError(
            f"a task was lost {_RETRIES + 1} times: {first}",
            hint="Most likely the memory of a node ran out, or no node is left.",
        ) from error


def _refuse_without_nodes() -> None:
    """Raise MachineError when nothing is left to compute on, for which Ray would wait for ever."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if not any(node.get("Resources", {}).get("CPU", 0) >= 1 for node in nodes):
        raise MachineError(
            "no node with a core is left in the cluster",
            hint="Start one with `ray start --address …`, and run the command again.",
        )


def _computed(given: bytes, where: tuple[str | None, tuple[str, ...]]) -> bytes:
    """Compute one task, in the folder that its relative paths are seen from.

    Task and result are bytes, since arrays that Ray hands over cannot be written to, and hold the
    memory that all processes share for as long as they live.
    """
    folder, places = where
    for place in (*places, *([folder] if folder else [])):
        if not Path(place).exists():
            raise MachineError(f"the node {socket.gethostname()} has no {place}", hint=_SHARE)
    if folder:
        os.chdir(folder)
    function, task = pickle.loads(given)  # noqa: S301 - of the process that this one works for
    try:
        return pickle.dumps(function(task), pickle.HIGHEST_PROTOCOL)
    except FileNotFoundError as error:
        text = f"the node {socket.gethostname()} has no {error.filename}"
        raise MachineError(text, hint=_SHARE) from error
