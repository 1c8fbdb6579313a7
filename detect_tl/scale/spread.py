"""Tasks of `core.parallel.spread` on the nodes of a Ray cluster, their results in order.

All nodes see the same files under the same paths: a folder that they share, or one machine. Ray
computes the tasks of a node that is lost again on another; what a task writes is the same again.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

_SHARE = (
    "All nodes have to see the data, the output and the cache of pictures (XDG_CACHE_HOME) under"
    " the same paths, as on a network drive."
)


@contextmanager
def on_ray(
    address: str | None, places: Sequence[Path], progress: Progress | None
) -> Iterator[Cluster]:
    """Have `spread` compute on Ray in this block. address: as `connected` has it.

    places: files and folders that all nodes have to see.
    Raises MachineError when Ray is not there, a node sees other files, or too many are lost.
    """
    with connected(address, progress) as cluster:
        folder = None if all(place.is_absolute() for place in places) else Path.cwd()
        seen = tuple(str(place.absolute()) for place in places)
        with spread_by(_Spread(cluster, folder, seen)):
            yield cluster


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
        import ray

        remaining = iter(tasks)
        running: deque[Any] = deque()
        try:
            while True:
                for task in islice(remaining, self._most - len(running)):
                    running.append(self._remote.remote(function, task, self._where))
                if not running:
                    return
                yield _result(running.popleft())
        finally:
            for left in running:
                ray.cancel(left, force=True)


def _result(reference: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        raise cause from None
    except RayError as error:
        first = str(error).strip().partition("\n")[0]
        raise MachineError(
            f"a task was lost {_RETRIES + 1} times: {first}",
            hint="Most likely the memory of a node ran out, or no node is left.",
        ) from error


def _computed(
    function: Callable[[Any], Any], task: Any, where: tuple[str | None, tuple[str, ...]]
) -> Any:
    """Compute one task, in the folder that its relative paths are seen from."""
    folder, places = where
    for place in (*places, *([folder] if folder else [])):
        if not Path(place).exists():
            raise MachineError(f"the node {socket.gethostname()} has no {place}", hint=_SHARE)
    if folder:
        os.chdir(folder)
    try:
        return function(task)
    except FileNotFoundError as error:
        text = f"the node {socket.gethostname()} has no {error.filename}"
        raise MachineError(text, hint=_SHARE) from error
