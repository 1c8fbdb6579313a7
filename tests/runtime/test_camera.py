"""Cameras: what they give, and what becomes of one that is unplugged."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import pytest

from detect_tl.core.errors import MachineError
from detect_tl.core.geometry import Size
from detect_tl.runtime import camera, returning
from detect_tl.runtime.sources import open_source
from tests.runtime.videos import moving_square, write_video


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    number = 9
    if Path(f"/dev/video{number}").exists():
        pytest.skip("this machine has ten cameras")
    with pytest.raises(MachineError, match="camera 9 cannot be opened") as caught:
        open_source(str(number))
    assert caught.value.exit_code == 5
    assert "camera" in caught.value.hint.lower()
    assert capfd.readouterr().err == ""


class Device:
    """A camera that is unplugged after some pictures. absences: how often it cannot be opened after
    each time, before it is there again."""

    def __init__(self, video: Path) -> None:
        self.video = video
        self.opened = 0
        self.absences: list[int] = []

    def open(self, number: int) -> cv2.VideoCapture:
        if self.opened and self.absences and self.absences[0]:
            self.absences[0] -= 1
            raise MachineError(f"camera {number} cannot be opened")
        if self.opened and self.absences:
            self.absences.pop(0)
        self.opened += 1
        return cv2.VideoCapture(str(self.video))


class TestCamera:
    """A video file stands for the device behind OpenCV's camera; everything else is real."""

    @pytest.fixture
    def device(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
        monkeypatch.setattr(returning, "FIRST_PAUSE", 0.02)
        monkeypatch.setattr(returning, "LONGEST_PAUSE", 0.04)
        found = Device(write_video(tmp_path / "device.mp4", moving_square(6)))
        monkeypatch.setattr(camera, "_open", found.open)
        return found

    @pytest.mark.usefixtures("device")
    def test_pictures_until_it_is_unplugged(self) -> None:
        plugged = open_source("0", reconnect=0)
        assert plugged.info.live
        assert plugged.info.endless
        assert plugged.info.size == Size(64, 64)
        got = list(plugged)
        plugged.close()
        assert [frame.index for frame in got] == list(range(6))
        assert got[0].time == 0
        assert all(a.time < b.time for a, b in pairwise(got))
        assert all(a.captured < b.captured for a, b in pairwise(got))
        assert {frame.name for frame in got} == {"camera-0"}
        (finding,) = plugged.findings
        assert finding.code == "camera.lost"

    def test_it_is_plugged_in_again(self, device: Device) -> None:
        said: list[str] = []
        device.absences = [0, 3]  # the second time it is away for three attempts
        plugged = open_source("0", reconnect=20, say=said.append)
        got = []
        for frame in plugged:
            got.append(frame)
            if len(got) == 15:
                plugged.stop()
        plugged.close()
        assert [frame.index for frame in got] == list(range(15))
        assert all(a.time < b.time for a, b in pairwise(got))
        assert device.opened == 3
        assert [("lost" in line, "back" in line) for line in said] == [
            (True, False),
            (False, True),
            (True, False),
            (False, True),
        ]
        (finding,) = plugged.findings
        assert finding.code == "camera.reconnected"
        assert "2 time(s)" in finding.message

    def test_it_stays_away(self, device: Device) -> None:
        device.absences = [10**6]
        plugged = open_source("0", reconnect=0.3)
        assert len(list(plugged)) == 6
        plugged.close()
        (finding,) = plugged.findings
        assert finding.code == "camera.lost"
        assert "did not come back" in finding.message

    @pytest.mark.usefixtures("device")
    def test_who_wants_no_more_waits_for_none(self) -> None:
        plugged = open_source("0")
        frames = iter(plugged)
        next(frames)
        plugged.stop()
        assert list(frames) == []
        plugged.close()
        assert plugged.findings == []

    def test_no_picture_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(camera, "_open", lambda _: cv2.VideoCapture(str(tmp_path / "none")))
        with pytest.raises(MachineError, match="gives no picture"):
            open_source("0")
