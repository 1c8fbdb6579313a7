from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from detect_tl.core.errors import DataError, MachineError
from detect_tl.core.geometry import Size
from detect_tl.runtime import stream, video
from detect_tl.runtime.frames import Source
from detect_tl.runtime.sources import open_source
from detect_tl.runtime.stream import hide_password
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, without_packets, write_video


def write_image(path: Path, image: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(path.suffix, picture(32, 16) if image is None else image)[1]
    path.write_bytes(data.tobytes())
    return path


def names(source: Source) -> list[str]:
    return [frame.name for frame in source]


class TestImages:
    def test_one_image(self, tmp_path: Path) -> None:
        image = picture(32, 16, (0, 0, 8, 8, "red"))
        path = write_image(tmp_path / "Äpfel 苹果 🍎.png", image)
        source = open_source(str(path))
        assert source.info.kind == "images"
        assert source.info.size == Size(32, 16)
        assert source.info.frame_count == 1
        assert not source.info.live
        (frame,) = source
        assert np.array_equal(frame.image, image)
        assert (frame.index, frame.time, frame.name, frame.path) == (0, 0.0, path.name, path)

    def test_exif_orientation_is_applied(self, tmp_path: Path) -> None:
        exif = Pil.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        upright = picture(16, 32, (0, 0, 16, 16, "green"))
        lying = np.rot90(upright, 1)
        path = tmp_path / "phone.jpg"
        Pil.fromarray(np.ascontiguousarray(lying[..., ::-1])).save(path, exif=exif, quality=95)
        source = open_source(path)
        assert source.info.size == Size(16, 32)
        (frame,) = source
        assert frame.size == Size(16, 32)
        assert frame.image[4, 8].tolist() == pytest.approx([0, 255, 0], abs=12)
        assert frame.image[28, 8].tolist() == pytest.approx([0, 0, 0], abs=12)

    def test_a_folder_in_depth_and_in_order(self, tmp_path: Path) -> None:
        for name in ("b.jpg", "a.png", "deep/er/c.JPG", ".hidden/d.jpg", ".e.jpg"):
            write_image(tmp_path / name)
        (tmp_path / "notes.txt").write_text("not an image")
        source = open_source(tmp_path)
        assert source.info.frame_count == 3
        assert names(source) == ["a.png", "b.jpg", "deep/er/c.JPG"]

    def test_a_pattern(self, tmp_path: Path) -> None:
        for name in ("x/1.jpg", "y/2.jpg", "y/3.png"):
            write_image(tmp_path / name)
        assert names(open_source(f"{tmp_path}/*/*.jpg")) == ["x/1.jpg", "y/2.jpg"]
        assert names(open_source(f"{tmp_path}/**/3.*")) == ["3.png"]

    def test_a_file_whose_name_looks_like_a_pattern(self, tmp_path: Path) -> None:
        assert names(open_source(write_image(tmp_path / "shot[1].jpg"))) == ["shot[1].jpg"]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such file or folder"):
            open_source(tmp_path / "none.jpg")
        with pytest.raises(DataError, match="no image fits"):
            open_source(tmp_path / "*.jpg")
        with pytest.raises(DataError, match="no images in this folder") as caught:
            open_source(tmp_path)
        assert caught.value.path == tmp_path

    def test_a_folder_of_videos_names_one(self, tmp_path: Path) -> None:
        write_video(tmp_path / "v.mp4", moving_square(2))
        with pytest.raises(DataError, match="no images") as caught:
            open_source(tmp_path)
        assert "v.mp4" in caught.value.hint

    def test_a_damaged_image_is_named(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.jpg")
        bad = tmp_path / "b.jpg"
        bad.write_bytes(b"\xff\xd8 not really")
        with pytest.raises(DataError) as caught:
            names(open_source(tmp_path))
        assert caught.value.path == bad


class TestVideos:
    def test_every_frame_in_order(self, tmp_path: Path) -> None:
        frames = moving_square(23)
        source = open_source(write_video(tmp_path / "Straße.mp4", frames))
        assert source.info.kind == "video"
        assert source.info.size == Size(64, 64)
        assert source.info.fps == Fraction(10)
        assert source.info.frame_count == 23
        assert not source.info.live
        got = list(source)
        assert [frame.index for frame in got] == list(range(23))
        assert [frame.time for frame in got] == pytest.approx(np.arange(23) / 10)
        assert {frame.name for frame in got} == {"Straße"}
        for frame, image in zip(got, frames, strict=True):
            assert np.abs(frame.image.astype(int) - image).max() < 8
        assert source.findings == []
        source.close()

    @pytest.mark.parametrize("degrees", [90, 180, -90])
    def test_rotation_metadata(self, tmp_path: Path, degrees: int) -> None:
        stored = picture(64, 32, (0, 0, 16, 16, "blue"))
        path = write_video(tmp_path / "phone.mp4", [stored] * 3, rotation=degrees)
        source = open_source(path)
        (frame, *_) = source
        capture = cv2.VideoCapture(str(path))
        _, expected = capture.read()
        capture.release()
        assert frame.image.shape == expected.shape
        assert np.abs(frame.image.astype(int) - expected).max() < 8
        assert source.info.size == frame.size
        assert (frame.size == Size(32, 64)) == (degrees != 180)

    def test_a_frame_is_converted_when_its_picture_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frames = list(
            open_source(write_video(tmp_path / "v.mp4", [picture(64, 32)] * 4, rotation=90))
        )
        converted: list[object] = []
        convert = video.upright
        monkeypatch.setattr(video, "upright", lambda f: converted.append(f) or convert(f))
        sizes = [frame.size for frame in frames]
        assert not converted
        first, again = frames[2].image, frames[2].image
        assert first is again, "what is drawn on it must stay"
        assert len(converted) == 1
        assert sizes == [Size(frame.image.shape[1], frame.image.shape[0]) for frame in frames]

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
    def test_variable_frame_rate(self, tmp_path: Path, suffix: str) -> None:
        gaps = np.random.default_rng(1).integers(20, 300, 29) / 1000
        times = [0.0, *np.cumsum(gaps)]
        frames = moving_square(30)
        path = write_video(tmp_path / f"v.{suffix}", frames, times=times)
        source = open_source(path)
        got = list(source)
        assert [frame.time for frame in got] == pytest.approx(times)
        assert source.findings == []  # rate and length say nothing about the number here
        for frame, image in zip(got, frames, strict=True):
            assert np.abs(frame.image.astype(int) - image).max() < 8

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
    @pytest.mark.parametrize("missing", [(0,), (0, 1, 2), (10,)])
    def test_missing_key_frames(
        self, tmp_path: Path, suffix: str, missing: tuple[int, ...]
    ) -> None:
        whole = write_video(tmp_path / "whole.mkv", moving_square(30))
        path = without_packets(whole, tmp_path / f"cut.{suffix}", missing)
        source = open_source(path)
        got = list(source)
        capture = cv2.VideoCapture(str(path))
        for frame in got:
            _, expected = capture.read()
            assert np.abs(frame.image.astype(int) - expected).max() <= 1
        assert not capture.read()[0]
        capture.release()
        assert got[0].time == 0
        assert len(got) < 30 - len(missing)  # all up to the next key frame are lost
        (finding,) = source.findings
        assert finding.code == "video.frame-count"
        assert f"{len(got)} could be decoded" in finding.message

    def test_a_video_that_was_cut_off(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
        whole = write_video(tmp_path / "whole.mkv", list(noise))
        cut = tmp_path / "cut.mkv"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        source = open_source(cut)
        got = list(source)
        assert 3 < len(got) < 20
        (finding,) = [f for f in source.findings if f.code == "video.frame-count"]
        assert finding.message == f"length and rate make 20 frames, {len(got)} could be decoded"

    def test_damaged_packets_are_skipped_and_counted(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
        data = bytearray(write_video(tmp_path / "good.mp4", list(noise)).read_bytes())
        # Pictures lie between the header and the index; most of each is its size and its slices.
        for start in range(data.find(b"mdat") + len(data) // 2, data.find(b"moov") - 4000, 4000):
            data[start : start + 2000] = bytes(2000)
        bad = tmp_path / "bad.mp4"
        bad.write_bytes(data)
        source = open_source(bad)
        got = list(source)
        assert got
        assert [frame.index for frame in got] == list(range(len(got)))
        codes = {finding.code for finding in source.findings}
        assert codes <= {"video.damaged-packet", "video.frame-count", "video.cut-off"}
        assert "video.damaged-packet" in codes

    def test_files_that_are_no_video(self, tmp_path: Path) -> None:
        text = tmp_path / "notes.mp4"
        text.write_text("not a video at all")
        with pytest.raises(DataError, match="neither an image nor a video") as caught:
            open_source(text)
        assert caught.value.path == text
        whole = write_video(tmp_path / "whole.mp4", moving_square(5))
        headless = tmp_path / "headless.mp4"  # the index of this kind is at the end
        headless.write_bytes(whole.read_bytes()[:-500])
        with pytest.raises(DataError):
            open_source(headless)

    def test_a_sound_without_pictures(self, tmp_path: Path) -> None:
        import av

        path = tmp_path / "sound.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
        with pytest.raises(DataError, match="no video track"):
            open_source(path)


class TestRealVideos:
    def test_rotated_by_the_camera(self, shared: Path) -> None:
        path = shared / "data" / "video_cvat" / "test_rotated_90_video.mp4"
        source = open_source(path)
        got = list(source)
        capture = cv2.VideoCapture(str(path))
        for frame in got:
            _, expected = capture.read()
            assert np.array_equal(frame.image, expected)
        capture.release()
        assert len(got) == 25
        assert source.info.size == Size(100, 200)

    def test_without_valid_keyframes(self, shared: Path) -> None:
        path = shared / "data" / "video_cvat" / "video_without_valid_keyframes.mp4"
        source = open_source(path)
        got = list(source)
        capture = cv2.VideoCapture(str(path))
        for frame in got:
            _, expected = capture.read()
            assert np.abs(frame.image.astype(int) - expected).max() <= 1
        assert not capture.read()[0]
        capture.release()
        assert len(got) == 25
        assert got[0].time == 0  # the first in the file is at 1 s
        assert source.findings == []

    def test_a_header_that_promises_one_frame_more(self, shared: Path) -> None:
        folder = shared / "data" / "video_intel" / "asl_gestures"
        missing = 0
        for path in sorted(folder.glob("*.mkv")):
            source = open_source(path)
            decoded = sum(1 for _ in source)
            promised = source.info.frame_count
            capture = cv2.VideoCapture(str(path))
            assert promised == int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            capture.release()
            told = [f.code for f in source.findings]
            assert told == (["video.frame-count"] if promised != decoded else [])
            missing += promised - decoded
        assert missing == 10


class _Server(ThreadingHTTPServer):
    """Serves one file under /file.mp4, and its JPEG frames without end under /live."""

    daemon_threads = True
    file = b""
    frames: tuple[bytes, ...] = ()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        try:
            self._file() if self.path == "/file.mp4" else self._live()
        except ConnectionError:
            self.close_connection = True  # the reader has seen enough

    def _file(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.file)))
        self.end_headers()
        self.wfile.write(self.server.file)

    def _live(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for data in self.server.frames:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _Handler) as made:
        made.file = write_video(tmp_path / "served.mp4", moving_square(12)).read_bytes()
        made.frames = tuple(cv2.imencode(".jpg", image)[1].tobytes() for image in moving_square(40))
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


class TestStreams:
    def test_a_file_behind_http_keeps_all_frames(self, server: str) -> None:
        source = open_source(f"{server}/file.mp4")
        assert source.info.kind == "stream"
        assert not source.info.live
        assert source.info.frame_count == 12
        assert sum(1 for _ in source) == 12
        source.close()

    def test_a_stream_without_end_is_live(self, server: str) -> None:
        source = open_source(f"{server}/live")
        assert source.info.live
        assert source.info.frame_count is None
        assert source.info.size == Size(64, 64)
        assert len(list(islice(source, 10))) == 10
        source.close()

    def test_a_stream_that_cannot_be_opened(self, server: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(MachineError, match="cannot be opened") as caught:
            open_source(f"rtsp://user:secret@127.0.0.1:{port}/cam")
        assert "secret" not in str(caught.value)
        assert caught.value.exit_code == 5
        assert caught.value.hint
        with pytest.raises(MachineError, match="cannot be opened"):
            open_source(f"{server}/live?nothing".replace("http", "nonsense"))

    def test_a_stream_that_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "OPEN_SECONDS", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/cam"
            with pytest.raises(MachineError, match="no answer in time"):
                open_source(url)

    def test_passwords_are_not_shown(self) -> None:
        assert hide_password("rtsp://me:pw@host:554/a?b=1") == "rtsp://host:554/a?b=1"
        assert hide_password("http://host/x") == "http://host/x"


def test_a_sample_is_the_first_picture(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(5))
    write_video(tmp_path / "turned.mp4", moving_square(5), rotation=90)
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(32, 24, (0, 0, 8, 8, "red")))
    for place in (video, tmp_path / "turned.mp4", tmp_path / "0.png", tmp_path / "*.png"):
        source = open_source(place)
        sample = source.sample()
        np.testing.assert_array_equal(sample, next(iter(source)).image)
        source.close()
