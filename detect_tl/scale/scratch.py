"""A folder of a process that may be killed: gone with it, however it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# Its input ends when this process does. Ray ends the children of a process that it kills, so this
# one is nobody's child.
_REMOVER = """
import os, shutil, sys
if hasattr(os, "fork") and os.fork():
    os._exit(0)
sys.stdin.read()
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder until the block ends, or until the process is killed.

    Ray ends processes by killing them, when a training is interrupted and when one of those that
    share it is lost; what they were writing would be left behind on every node.
    """
    with (
        TemporaryDirectory(prefix="detect-tl-", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [sys.executable, "-IS", "-c", _REMOVER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ),
    ):
        yield Path(folder)
