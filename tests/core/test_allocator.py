"""Freed memory stays while it is asked to, and goes afterwards."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

_PAGES, _FEWEST = 64 << 20 >> 12, 64 >> 1
"""Of a block of 64 MB: pages of 4 KB, and pages of 2 MB, which some systems give."""

_CODE = """
import resource
import numpy as np
from detect_tl.core.allocator import keeping_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.empty(64 << 20, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

try:
    with keeping_freed_memory():
        with keeping_freed_memory():
            first = faults(1)
        others, within = faults(10), resident()
        raise KeyboardInterrupt
except KeyboardInterrupt:
    after = resident()
print(first, others, within - after, faults(3))
"""


def test_a_block_is_fetched_once_and_given_back_in_the_end() -> None:
    """In a process of its own: malloc is one for all of it."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    first, others, given_back, afterwards = map(int, done.stdout.split())
    assert first >= _FEWEST
    assert others < _FEWEST
    assert given_back > 0.9 * _PAGES
    assert afterwards >= 3 * _FEWEST
