from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import orjson
import pytest
from pycocotools import mask as coder

from detect_tl.core.detections import Detections
from detect_tl.core.errors import MachineError
from detect_tl.core.images import Image
from detect_tl.runtime import sinks
from detect_tl.runtime.encode import video_file
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.sinks import Write, json_lines, picture_folder, window
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, read_video

NOTHING = Detections.empty()
NAMES = ("a", "b")


def frames_of(images: list[Image], fps: float = 10, name: str = "v") -> Iterator[Frame]:
    for index, image in enumerate(images):
        yield Frame(image, index, index / fps, name)


def write_all(
    writer: AbstractContextManager[Write], images: list[Image], *, fail: bool = False
) -> None:
    with writer as write:
        for frame in frames_of(images):
            write(frame, NOTHING)
        if fail:
            raise RuntimeError("stop")


def some() -> Detections:
    mask = np.zeros((2, 16, 32), bool)
    mask[0, 2:9, 3:20] = True
    return Detections(
        np.array([[3, 2, 20, 9], [0, 0, 5, 5]], np.float32),
        np.array([0.9, 0.5], np.float32),
        np.array([1, 0]),
        mask,
    )


class TestJsonLines:
    @pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools' own decoder
    def test_one_document_a_frame(self, tmp_path: Path) -> None:
        path = tmp_path / "d.jsonl"
        with json_lines(path, NAMES) as write:
            assert write(Frame(picture(32, 16), 0, 0.0, "x"), some())
            assert write(Frame(picture(32, 16), 1, 1 / 3, "x"), NOTHING)
            assert not path.exists()
        first, second = map(orjson.loads, path.read_bytes().splitlines())
        assert second == {
            "frame": 1, "time": 0.333333, "name": "x", "width": 32, "height": 16, "detections": []
        }  # fmt: skip
        best, other = first["detections"]
        assert (best["class"], best["class_id"], best["score"]) == ("b", 1, 0.9)
        assert best["xyxy"] == [3, 2, 20, 9]
        assert np.array_equal(coder.decode(best["mask"]) > 0, some().mask[0])
        assert coder.area(other["mask"]) == 0

    def test_nothing_is_left_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="stop"):
            write_all(json_lines(tmp_path / "d.jsonl", NAMES), [picture(4, 4)], fail=True)
        assert list(tmp_path.iterdir()) == []


class TestPictures:
    def test_stills_keep_their_names_and_video_frames_are_numbered(self, tmp_path: Path) -> None:
        red = picture(8, 8, (0, 0, 8, 8, "red"))
        with picture_folder(tmp_path / "s", stills=True) as write:
            for name in ("ä.png", "deep/b.jpg", "raw.dng", "c.PNG"):
                assert write(Frame(red.copy(), 0, 0.0, name), NOTHING)
        with picture_folder(tmp_path / "v", stills=False) as write:
            for frame in frames_of([red, red], name="clip.old"):
                assert write(frame, NOTHING)
        got = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
        assert got == [
            "s/c.PNG", "s/deep/b.jpg", "s/raw.dng.jpg", "s/ä.png",
            "v/clip.old-000000.jpg", "v/clip.old-000001.jpg",
        ]  # fmt: skip
        back = cv2.imdecode(np.fromfile(tmp_path / "s" / "ä.png", np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(back, red)


class TestVideo:
    @pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(5, 2)])
    def test_what_a_browser_needs(self, tmp_path: Path, fps: Fraction) -> None:
        path = tmp_path / "v.mp4"
        images = moving_square(20)
        with video_file(path, fps) as write:
            for frame in frames_of(images, float(fps)):
                assert write(frame, NOTHING)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert float(stream.average_rate) == pytest.approx(float(fps), rel=1e-3)
            assert stream.frames == 20
            assert float(stream.duration * stream.time_base) == pytest.approx(20 / fps, rel=0.01)
            times = [frame.time for frame in container.decode(stream)]
        assert times == pytest.approx(np.arange(20) / float(fps), abs=1e-4)
        data = path.read_bytes()
        assert data.find(b"moov") < data.find(b"mdat")  # the index comes first

    def test_the_picture_is_the_same(self, tmp_path: Path) -> None:
        images = [picture(64, 48, (8, 8, 56, 40, c)) for c in ("red", "green", "blue")]
        with video_file(tmp_path / "v.mp4", Fraction(10), quality=5) as write:
            for frame in frames_of(images):
                write(frame, NOTHING)
        for got, image in zip(read_video(tmp_path / "v.mp4"), images, strict=True):
            assert got[24, 32] == pytest.approx(image[24, 32], abs=6)
            assert got[2, 2] == pytest.approx([0, 0, 0], abs=6)

    def test_odd_sizes_and_sizes_that_change(self, tmp_path: Path) -> None:
        images = [np.full((h, w, 3), 200, np.uint8) for w, h in ((33, 21), (66, 42), (20, 60))]
        with video_file(tmp_path / "v.mp4", None) as write:
            for frame in frames_of(images):
                write(frame, NOTHING)
        first, second, tall = read_video(tmp_path / "v.mp4")
        assert first.shape == second.shape == tall.shape == (22, 34, 3)
        assert first.min() > 180
        assert second[:, 1:-1].min() > 180
        assert tall[11, 17].min() > 180
        assert tall[11, 3].max() < 40  # bars beside a tall picture

    def test_times_that_stand_still_or_go_back(self, tmp_path: Path) -> None:
        times = [0.0, 0.1, 0.1, 0.05, 0.3]
        with video_file(tmp_path / "v.mp4", Fraction(10)) as write:
            for index, (image, time) in enumerate(zip(moving_square(5), times, strict=True)):
                write(Frame(image, index, time, "v"), NOTHING)
        assert len(read_video(tmp_path / "v.mp4")) == 5

    def test_whole_or_not_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="stop"):
            write_all(video_file(tmp_path / "v.mp4", Fraction(10)), moving_square(9), fail=True)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_ = av.open
        monkeypatch.setattr(av, "open", lambda _, *a, **k: open_("/dev/full", *a, **k))
        noise = np.random.default_rng(0).integers(0, 256, (60, 240, 320, 3), dtype=np.uint8)
        with pytest.raises(MachineError, match="disk is full") as caught:
            write_all(video_file(tmp_path / "v.mp4", Fraction(10)), list(noise))
        assert caught.value.exit_code == 5
        assert list(tmp_path.iterdir()) == []

    def test_a_build_without_h264(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(*_: object) -> None:
            raise av.codec.codec.UnknownCodecError("libx264")

        monkeypatch.setattr(av.codec, "Codec", missing)
        with pytest.raises(MachineError, match=r"no H\.264"), video_file(tmp_path / "v.mp4", None):
            pass
        assert list(tmp_path.iterdir()) == []


class TestWindow:
    """There is no display where tests run: OpenCV's calls are replaced, our use of them is real."""

    @pytest.fixture
    def screen(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
        state: dict[str, object] = {"shown": 0, "key": 255, "visible": 1.0, "open": False}
        monkeypatch.setenv("DISPLAY", ":99")
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: state.update(open=True))
        monkeypatch.setattr(cv2, "resizeWindow", lambda *size: state.update(size=size[1:]))
        monkeypatch.setattr(cv2, "imshow", lambda *_: state.update(shown=state["shown"] + 1))
        monkeypatch.setattr(cv2, "waitKey", lambda _: state["key"])
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: state["visible"])
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: state.update(open=False))
        return state

    @pytest.mark.parametrize("end", [{"key": ord("q")}, {"key": 27}, {"visible": 0.0}])
    def test_shown_until_the_user_ends_it(
        self, screen: dict[str, object], end: dict[str, object]
    ) -> None:
        frame = Frame(picture(8, 8), 0, 0.0, "x")
        with window("t") as write:
            assert screen["open"]
            assert write(frame, NOTHING)
            screen.update(end)
            assert not write(frame, NOTHING)
        assert screen["shown"] == 2
        assert not screen["open"]

    @pytest.mark.parametrize(
        ("size", "expected"), [((64, 48), (64, 48)), ((1920, 1080), (1280, 720))]
    )
    def test_as_large_as_its_pictures(
        self, screen: dict[str, object], size: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        with window("t") as write:
            write(Frame(picture(*size), 0, 0.0, "x"), NOTHING)
        assert screen["size"] == expected

    def test_no_display(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(MachineError, match="no display") as caught, window("t"):
            pass
        assert caught.value.exit_code == 5

    @pytest.mark.usefixtures("screen")
    def test_an_opencv_without_windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise cv2.error("The function is not implemented")

        monkeypatch.setattr(cv2, "namedWindow", refuse)
        with pytest.raises(MachineError, match="without windows"), window("t"):
            pass


def test_a_full_disk_while_writing_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with (
        pytest.raises(MachineError, match="disk is full"),
        picture_folder(tmp_path, stills=True) as write,
    ):
        write(Frame(picture(8, 8), 0, 0.0, "a.png"), NOTHING)


def test_a_format_that_opencv_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with (
        pytest.raises(MachineError, match=r"cannot write \.png"),
        sinks.picture_folder(tmp_path, stills=True) as write,
    ):
        write(Frame(picture(8, 8), 0, 0.0, "a.png"), NOTHING)
