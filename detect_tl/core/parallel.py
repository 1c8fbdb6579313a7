"""Work on several cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TypeVar

from detect_tl.core.errors import MachineError

A = TypeVar("A")
B = TypeVar("B")

# Starting a process and its imports takes about a third of a second.
_WORTH_IT = 2


def spread(
    function: Callable[[A], B], tasks: Iterable[A], workers: int | None = None
) -> Iterator[B]:
    """Yield `function(task)` for every task, in their order, computed in other processes.

    function: of a module, so that another process finds it. tasks: large ones; each travels
        there and its result back. Only a few are on their way at any time.
    workers: processes; None for as many as there are cores. With one core, or one task, all is
        computed here.
    """
    count = workers or cores()
    remaining = iter(tasks)
    first = list(islice(remaining, _WORTH_IT))
    if count == 1 or len(first) < _WORTH_IT:
        yield from map(function, first)
        yield from map(function, remaining)
        return
    executor = _executor(count)
    if executor is None:
        yield from map(function, chain(first, remaining))
        return
    running = deque(executor.submit(function, task) for task in first)
    try:
        for task in islice(remaining, count):
            running.append(executor.submit(function, task))
        while running:
            yield running.popleft().result()
            for task in islice(remaining, 1):
                running.append(executor.submit(function, task))
    except BrokenProcessPool as error:
        raise MachineError(
            f"a process that helped was killed: {str(error).partition('.')[0]}",
            hint="Most likely the memory ran out; close other programs, or use a larger machine.",
        ) from error
    finally:
        for future in running:
            future.cancel()


def _executor(count: int) -> Executor | None:
    """Processes to work in; None where the system offers no way to talk to them."""
    # Not the standard pool: where a process is not forked, that one runs the user's script again.
    from loky import get_reusable_executor

    try:
        executor: Executor = get_reusable_executor(max_workers=count, timeout=60)
    except (OSError, NotImplementedError):  # no semaphores, as in some sandboxes
        return None
    return executor


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
