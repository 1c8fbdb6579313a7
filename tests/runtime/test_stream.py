"""Live streams that are lost and come back, over real connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from detect_tl.core.errors import MachineError
from detect_tl.runtime import returning
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.stream import Stream, open_stream
from tests.runtime.servers import JpegCamera, number_of


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(returning, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def camera() -> Iterator[JpegCamera]:
    with JpegCamera() as made:
        yield made


def opened(camera: JpegCamera, said: list[str] | None = None, patience: float = 20) -> Stream:
    source = open_stream(camera.url, patience=patience, say=([] if said is None else said).append)
    assert isinstance(source, Stream)
    return source


def codes(source: Stream) -> list[str]:
    return [finding.code for finding in source.findings]


def test_times_are_those_of_arrival(camera: JpegCamera) -> None:
    camera.fps = 10  # the format itself says nothing, and FFmpeg takes 25 for granted
    source = opened(camera)
    began, frames = time.monotonic(), []
    for frame in source:
        frames.append(frame)
        if len(frames) == 12:
            break
    source.close()
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert frames[-1].time > 0.7  # less than 1.1, since a few came while it was opened
    for frame in frames:
        assert frame.captured - frames[0].captured == pytest.approx(frame.time)
        assert frames[0].captured <= frame.captured <= time.monotonic()
    assert frames[0].captured < began
    assert codes(source) == []


def test_a_camera_that_goes_away_and_comes_back(camera: JpegCamera) -> None:
    said: list[str] = []
    source = opened(camera, said)
    frames: list[Frame] = []
    for frame in source:
        frames.append(frame)
        if len(frames) in (5, 12):
            camera.stop()
            threading.Timer(0.4, camera.start).start()
        if camera.connections == 3 and number_of(frame.image) == 4:
            break
    source.close()
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(a.time < b.time for a, b in pairwise(frames))
    assert frames[-1].time > 0.8  # the two absences are in it
    lost, back, lost_again, back_again = said
    assert "was lost" in lost
    assert "was lost" in lost_again
    assert "is back after" in back
    assert "is back after" in back_again
    assert camera.url in lost
    assert codes(source) == ["stream.reconnected"]
    assert "2 time(s)" in source.findings[0].message


def test_a_camera_that_stays_away(camera: JpegCamera) -> None:
    said: list[str] = []
    source = opened(camera, said, patience=0.5)
    count = 0
    for _ in source:
        count += 1
        if count == 5:
            camera.stop()
            gone = time.monotonic()
    assert 0.4 < time.monotonic() - gone < 5
    source.close()
    assert count >= 5
    assert codes(source) == ["stream.lost"]
    assert len(said) == 1  # once, however often it was tried


def test_no_patience(camera: JpegCamera) -> None:
    said: list[str] = []
    camera.count = 6
    source = opened(camera, said, patience=0)
    assert len(list(source)) == 6
    source.close()
    assert codes(source) == ["stream.lost"]
    assert said == []


def test_waiting_for_a_camera_ends_at_once_when_nobody_wants_it(camera: JpegCamera) -> None:
    source = opened(camera, patience=60)
    frames = iter(source)
    next(frames)
    camera.stop()
    asked = []

    def ask() -> None:
        asked.append(time.monotonic())
        source.stop()

    threading.Timer(0.5, ask).start()
    assert list(frames)[5:] == []  # what was on its way may still come
    assert time.monotonic() - asked[0] < 2


def test_pauses_grow_while_a_connection_does_not_hold(
    camera: JpegCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returning, "LONGEST_PAUSE", 0.4)
    camera.count = 3
    source = opened(camera)
    frames = list(islice(source, 15))
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2] * 5
    for k, least in enumerate((0.05, 0.1, 0.2, 0.4), start=1):
        assert frames[3 * k].captured - frames[3 * k - 1].captured >= least
    source.close()
    assert "4 time(s)" in source.findings[0].message


def test_a_camera_that_never_was_there(camera: JpegCamera) -> None:
    camera.stop()
    with pytest.raises(MachineError, match="cannot be opened") as caught:
        opened(camera)
    assert caught.value.exit_code == 5
