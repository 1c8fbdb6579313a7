"""Work on several cores gives what work on one gives."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detect_tl.core.errors import MachineError
from detect_tl.core.parallel import spread


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_come_in_the_order_of_the_tasks(count: int, workers: int) -> None:
    assert list(spread(math.factorial, range(count), workers)) == [
        math.factorial(k) for k in range(count)
    ]


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
    assert list(spread(os.getppid, [], 2)) == []
    assert list(spread(math.factorial, [3, 4, 5], 2)) == [6, 24, 120]


def test_a_process_that_is_killed_is_said() -> None:
    with pytest.raises(MachineError, match="killed"):
        list(spread(os._exit, [1, 1, 1], 2))
