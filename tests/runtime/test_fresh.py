from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from detect_tl.core.detections import Detections
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.fresh import Fresh, kept_fresh
from detect_tl.runtime.pipeline import run_pipeline
from tests.runtime.test_pipeline import Numbers, Reader, detector_of


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("detect-tl")]


def test_what_comes_before_it_is_asked_for_is_passed_over() -> None:
    source = Numbers(None, live=True, pause=0.002)
    fresh = Fresh(source)
    while source.given < 40:  # a model is loaded
        time.sleep(0.001)
    used: list[Frame] = []

    def consume(frame: Frame, found: Detections) -> bool:
        used.append(frame)
        return len(used) < 20

    stats = run_pipeline(fresh, detector_of(Reader()), consume)
    assert 0 <= used[0].index < 20
    for frame in used:
        level = int(frame.image[0, 0, 0])  # which says the number that the source gave it
        assert level - frame.index == int(used[0].image[0, 0, 0]) - used[0].index >= 38
        assert frame.time == pytest.approx(frame.index / 10)
    assert stats.frames + stats.dropped >= used[-1].index + 1  # what is dropped is counted
    assert stats.age_ms is not None
    assert source.closed


def test_the_end_and_its_error_come_through() -> None:
    with pytest.raises(OSError, match="cable"):
        list(Fresh(Numbers(3, live=True, error=OSError("cable"))))
    fresh = Fresh(Numbers(3, live=True, pause=0.001))
    assert [int(frame.image[0, 0, 0]) for frame in fresh][-1] == 2
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
