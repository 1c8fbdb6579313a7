"""Work on several cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

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
    # Not the standard pool: where a process is not forked, that one runs the user's script again.
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=count, timeout=60)
    running = deque(executor.submit(function, task) for task in first)
    try:
        for task in islice(remaining, count):
            running.append(executor.submit(function, task))
        while running:
            yield running.popleft().result()
            for task in islice(remaining, 1):
                running.append(executor.submit(function, task))
    finally:
        for future in running:
            future.cancel()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
