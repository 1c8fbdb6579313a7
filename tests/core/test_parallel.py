"""Work on several cores gives what work on one gives."""

from __future__ import annotations

import gc
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from detect_tl.core.errors import MachineError
from detect_tl.core.parallel import spread, uncollected


@pytest.fixture(autouse=True)
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests load torch into this process; nothing here makes it work in a forked one."""
    monkeypatch.setattr("detect_tl.core.parallel._UNFORKABLE", frozenset())


@pytest.mark.parametrize("kind", [list, iter])  # seen where they are, and sent there
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_come_in_the_order_of_the_tasks(
    count: int, workers: int, kind: type[list[int]]
) -> None:
    assert list(spread(math.factorial, kind(range(count)), workers)) == [
        math.factorial(k) for k in range(count)
    ]


def counting(count: int) -> tuple[str, NDArray[np.float64], NDArray[np.int32]]:
    return f"{count}", np.arange(count) / 7, np.arange(2 * count, dtype=np.int32).reshape(2, -1)


@pytest.mark.parametrize("room", [0, 200, 100_000])  # none, too little for some, and plenty
def test_arrays_arrive_whether_they_are_shared_or_travel(room: int) -> None:
    tasks = [0, 5, 300, 1, 2000]
    found = list(spread(counting, tasks, 2, room=lambda _: room))
    for task, (text, floats, integers) in zip(tasks, found, strict=True):
        expected = counting(task)
        assert text == expected[0]
        np.testing.assert_array_equal(floats, expected[1])
        np.testing.assert_array_equal(integers, expected[2])


def nested(count: int) -> list[int]:
    return list(spread(math.factorial, list(range(count)), 2))


def test_a_task_may_spread_tasks_of_its_own() -> None:
    assert list(spread(nested, [2, 3, 4], 2)) == [[1, 1], [1, 1, 2], [1, 1, 2, 6]]


def test_results_that_nobody_waits_for_leave_no_process() -> None:
    before = set(psutil.Process().children())
    results = spread(math.factorial, list(range(100)), 2)
    assert next(results) == 1
    assert set(psutil.Process().children()) > before
    results.close()  # type: ignore[attr-defined]
    assert set(psutil.Process().children()) == before
    assert list(spread(math.factorial, [3, 4], 2)) == [6, 24]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_who_helps_ends_with_whom_it_helps(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from detect_tl.core.parallel import spread\n"
        "def work(k):\n"
        "    Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    time.sleep(60)\n"
        "list(spread(work, [1, 2], 2))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as process:
        _until(lambda: len(list(tmp_path.iterdir())) == 2)
        process.send_signal(signal.SIGKILL)
    helpers = [int(path.name) for path in tmp_path.iterdir()]
    _until(lambda: not any(_runs(pid) for pid in helpers))


def _until(done: Callable[[], bool]) -> None:
    for _ in range(600):
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in half a minute")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_is_forked_beside_libraries_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("forked")

    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setattr("detect_tl.core.parallel.ProcessPoolExecutor", refuse)
    assert list(spread(math.factorial, [3, 4, 5], 2)) == [6, 24, 120]


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_again_after_it_was_not(*, enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(KeyError), uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_tasks_are_taken_only_when_there_is_room() -> None:
    taken: list[int] = []

    def tasks() -> object:
        for k in range(50):
            taken.append(k)
            yield k

    results = spread(math.factorial, tasks(), 2)  # type: ignore[arg-type]
    assert next(results) == 1
    assert len(taken) < 10
    assert len(list(results)) == 49


def test_an_error_arrives() -> None:
    with pytest.raises(ValueError, match=r"negative|positive"):
        list(spread(math.factorial, [1, -1, 2], 2))
    with pytest.raises(ValueError, match=r"negative|positive"):
        list(spread(math.factorial, iter([1, -1, 2]), 2))


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from detect_tl.core.parallel import spread\n"
        "print('ran', sorted(set(spread(os.path.basename, ['a/b', 'a/c', 'a/d'], 2))))\n"
    )
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout == "ran ['b', 'c', 'd']\n"


def test_without_semaphores_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("loky.get_reusable_executor", refuse)
    monkeypatch.setattr("detect_tl.core.parallel.ProcessPoolExecutor", lambda *_: refuse())
    for kind in (list, iter):
        assert list(spread(os.getppid, kind([]), 2)) == []
        assert list(spread(math.factorial, kind([3, 4, 5]), 2)) == [6, 24, 120]


@pytest.mark.parametrize("kind", [list, iter])
def test_a_process_that_is_killed_is_said(kind: type[list[int]]) -> None:
    with pytest.raises(MachineError, match="killed"):
        list(spread(os._exit, kind([1, 1, 1]), 2))
