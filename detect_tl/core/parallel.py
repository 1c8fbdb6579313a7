"""Work on several cores."""

from __future__ import annotations

import ctypes
import gc
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import accumulate, chain, islice
from typing import Any, TypeVar

from detect_tl.core.errors import MachineError

A = TypeVar("A")
B = TypeVar("B")

_WORTH_IT = 2

# Libraries with threads of their own, whose locks a forked process would inherit as they stand.
_UNFORKABLE = frozenset({"torch", "onnxruntime", "openvino", "ray", "tensorflow"})

# A process that helps ends with the one that it helps (Linux, prctl).
_END_WITH_PARENT = 1
_PAGE = 4096


Spreader = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Computes `function(task)` for every task and gives the results in the order of the tasks."""

_elsewhere: ContextVar[Spreader | None] = ContextVar("elsewhere", default=None)


@contextmanager
def spread_by(spreader: Spreader) -> Iterator[None]:
    """Have `spread` compute in other places, such as the machines of a cluster, in this block."""
    token = _elsewhere.set(spreader)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def is_elsewhere() -> bool:
    """Whether `spread` computes in other places, in a block of `spread_by`."""
    return _elsewhere.get() is not None


def spread(
    function: Callable[[A], B],
    tasks: Iterable[A],
    workers: int | None = None,
    *,
    room: Callable[[A], int] | None = None,
) -> Iterator[B]:
    """Yield `function(task)` for every task, in their order, computed in other processes.

    function: of a module, so that another process finds it. tasks: large ones; each travels
        there and its result back, and only a few are on their way at any time. Where `tasks` is a
        list, and the system can fork, they need not travel: they are seen where they are.
    workers: processes; None for as many as there are cores. With one core, or one task, all is
        computed here.
    room: at most how many bytes the arrays of a result take. They are then left in memory that is
        shared, where that is possible, and need not travel either.

    In a block of `spread_by` it is computed where that says. A task may then be computed twice, if
    the machine that had it is lost: what it writes has to be the same again.
    """
    elsewhere = _elsewhere.get()
    if elsewhere is not None:
        yield from elsewhere(function, tasks)
        return
    count = workers or cores()
    if count > 1 and isinstance(tasks, list) and len(tasks) >= _WORTH_IT and _can_fork():
        forked = _opened(
            lambda: ProcessPoolExecutor(
                min(count, len(tasks)), multiprocessing.get_context("fork"), _begin_forked
            )
        )
        if forked is not None:
            yield from _Shared(function, tasks, room).results(forked, count)
            return
    remaining = iter(tasks)
    first = list(islice(remaining, _WORTH_IT))
    helpers = None if count == 1 or len(first) < _WORTH_IT else _executor(count)
    if helpers is None:
        yield from map(function, chain(first, remaining))
    else:
        yield from _in_order(helpers, function, chain(first, remaining), count)


def threaded(function: Callable[[A], B], items: Sequence[A], together: int = 100) -> Iterator[B]:
    """Yield `function(item)` for every item, in their order, computed in threads; elsewhere in a
    block of `spread_by`, so many items at a time.

    function: of a module, or a `functools.partial` of one, that leaves Python's lock for long.
    """
    if is_elsewhere():
        batches = [items[k : k + together] for k in range(0, len(items), together)]
        yield from chain.from_iterable(spread(partial(_of_each, function), batches))
        return
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(function, items)


def _of_each(function: Callable[[A], B], items: Sequence[A]) -> list[B]:
    return [function(item) for item in items]


class _Shared:
    """Tasks that forked processes find in the memory they share with this one."""

    current: _Shared | None = None

    def __init__(
        self, function: Callable[[Any], Any], tasks: list[Any], room: Callable[[Any], int] | None
    ) -> None:
        self._function = function
        self._tasks = tasks
        sizes = [-(-room(task) // _PAGE) * _PAGE for task in tasks] if room else []
        self._edges = [0, *accumulate(sizes)] if room else [0] * (len(tasks) + 1)
        self._memory = _anonymous(self._edges[-1])

    def results(self, executor: Executor, count: int) -> Iterator[Any]:
        before, _Shared.current = _Shared.current, self
        try:
            with executor:
                for place, answer in enumerate(
                    _in_order(executor, _shared_task, range(len(self._tasks)), count)
                ):
                    yield self._received(place, *answer)
        finally:
            _Shared.current = before

    def answer(self, place: int) -> tuple[bytes, list[int]]:
        """Compute a result, in another process: it in a pickle, and the lengths of what it left
        in shared memory."""
        result = self._function(self._tasks[place])
        start, stop = self._edges[place : place + 2]
        buffers: list[pickle.PickleBuffer] = []
        content = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
        if self._memory is None or sum(_aligned(len(view)) for view in raw) > stop - start:
            return pickle.dumps(result, protocol=5), []
        for view in raw:
            self._memory[start : start + len(view)] = view
            start += _aligned(len(view))
        return content, [len(view) for view in raw]

    def _received(self, place: int, content: bytes, lengths: list[int]) -> Any:
        starts = accumulate(map(_aligned, lengths), initial=self._edges[place])
        if self._memory is None:
            return pickle.loads(content)  # noqa: S301 - of a process of ours
        whole = memoryview(self._memory)
        views = [whole[start : start + n] for start, n in zip(starts, lengths, strict=False)]
        return pickle.loads(content, buffers=views)  # noqa: S301 - of a process of ours


def _anonymous(size: int) -> mmap.mmap | None:
    """Memory that forked processes share; only the part of it that is written to takes room."""
    if not size:
        return None
    try:
        return mmap.mmap(-1, size)
    except (OSError, ValueError, OverflowError):  # the system keeps account, and has no more
        return None


def _aligned(length: int) -> int:
    return -(-length // 64) * 64


def _begin_forked() -> None:
    """Leave alone what is shared, Ctrl-C, and the machine when the parent is killed."""
    gc.freeze()  # a collection would only copy shared memory
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)


def _shared_task(place: int) -> tuple[bytes, list[int]]:
    assert _Shared.current is not None
    return _Shared.current.answer(place)


def _in_order(
    executor: Executor, function: Callable[[A], B], tasks: Iterable[A], count: int
) -> Iterator[B]:
    """Results in the order of the tasks, a few of which are handed out ahead."""
    remaining = iter(tasks)
    running: deque[Future[B]] = deque()
    try:
        with warnings.catch_warnings():
            # Python warns that locks of other threads stay closed in a fork: those of the progress
            # bar, which no process that helps ever touches.
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
            for task in islice(remaining, count + 2):
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


def _can_fork() -> bool:
    """Elsewhere than on Linux the system's own libraries do not survive a fork."""
    return sys.platform == "linux" and _UNFORKABLE.isdisjoint(sys.modules)


def _executor(count: int) -> Executor | None:
    # Not the standard pool: where a process is not forked, that one runs the user's script again.
    from loky import get_reusable_executor

    return _opened(lambda: get_reusable_executor(max_workers=count, timeout=60))


def _opened(make: Callable[[], Executor]) -> Executor | None:
    """Processes to work in; None where the system offers no way to talk to them."""
    try:
        return make()
    except (OSError, NotImplementedError):  # no semaphores, as in some sandboxes
        return None


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave out the search for cycles while very many objects are made, none of which has any.

    It looks at all of them again and again: a third of the time of a large conversion.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
