from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from detect_tl.runtime.fresh import Fresh, kept_fresh
from detect_tl.runtime.pipeline import run_pipeline
from tests.runtime.test_pipeline import Numbers, Reader, Used, detector_of


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("detect-tl")]


def test_what_comes_before_it_is_asked_for_is_passed_over() -> None:
    source = Numbers(None, live=True, pause=0.002)
    fresh = Fresh(source)
    while source.given < 40:  # a model is loaded
        time.sleep(0.001)
    stats = run_pipeline(fresh, detector_of(Reader()), used := Used(stop_at=80))
    assert used.indices[0] >= 38
    assert stats.frames + stats.dropped == 81  # nothing is dropped without being counted
    assert stats.age_ms is not None
    assert source.closed


def test_the_end_and_its_error_come_through() -> None:
    with pytest.raises(OSError, match="cable"):
        list(Fresh(Numbers(3, live=True, error=OSError("cable"))))
    fresh = Fresh(Numbers(3, live=True, pause=0.001))
    assert [frame.index for frame in fresh][-1] == 2
    fresh.close()


def test_it_can_be_closed_unread() -> None:
    source = Numbers(None, live=True, pause=0.001)
    fresh = Fresh(source)
    assert fresh.info is source.info
    assert fresh.findings is source.findings
    fresh.close()
    assert source.closed


def test_files_keep_every_frame() -> None:
    source = Numbers(3)
    assert kept_fresh(source) is source
    assert source.given == 0
