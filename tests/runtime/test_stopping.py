"""How runs end before their sources do: real processes, real signals, a disk that fills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from detect_tl.core.detections import Detections
from detect_tl.runtime import stopping
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.frames import Frame
from detect_tl.runtime.predict import predict
from detect_tl.runtime.stopping import Stop, while_disk_lasts
from tests.runtime.conftest import picture
from tests.runtime.servers import JpegCamera
from tests.runtime.videos import moving_square, read_video, write_video

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")


@pytest.fixture
def camera() -> Iterator[JpegCamera]:
    with JpegCamera() as made:
        yield made


class Process:
    """`detect-tl predict` in a process of its own."""

    def __init__(self, model: Path, source: object, out: Path, *options: object) -> None:
        self.out = out
        words = [
            "predict",
            model,
            source,
            "--out",
            out,
            "--json",
            "--backend",
            "onnxruntime",
            *options,
        ]
        command = [sys.executable, "-m", "detect_tl", *map(str, words)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_until_it_writes(self) -> None:
        """Video data are on the disk: some frames have been used."""
        while not any(path.stat().st_size for path in self.out.parent.rglob(".*.mp4")):
            assert self._process.poll() is None, self._process.communicate()
            time.sleep(0.01)

    def end(self, *signals: signal.Signals) -> tuple[int, dict[str, object], str]:
        """Send signals; return the exit code, what was told, and what was said to people."""
        for number in signals:
            self._process.send_signal(number)
        told, said = self._process.communicate(timeout=30)
        return self._process.returncode, orjson.loads(told), said.decode()


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_run_and_keeps_it(
    detect_model: Path, tmp_path: Path, camera: JpegCamera, number: signal.Signals
) -> None:
    running = Process(detect_model, camera.url, tmp_path / "out")
    running.wait_until_it_writes()
    code, told, _ = running.end(number)
    assert code == 0
    assert told["stopped"]
    assert told["frame_age_ms"]["p95"] >= told["frame_age_ms"]["p50"] > 0
    video, lines = map(Path, told["files"])
    assert len(read_video(video)) == told["frames"] > 0
    assert len(lines.read_bytes().splitlines()) == told["frames"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@POSIX
def test_sigterm_on_a_file_leaves_nothing(detect_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mp4", moving_square(3000))
    running = Process(detect_model, video, tmp_path / "out")
    while not list(tmp_path.glob(".out.*/.long.*")):
        time.sleep(0.01)
    code, told, _ = running.end(signal.SIGTERM)
    assert code == 130
    assert told["error"]["message"] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


@POSIX
def test_a_signal_while_a_lost_camera_is_waited_for(
    detect_model: Path, tmp_path: Path, camera: JpegCamera
) -> None:
    running = Process(detect_model, camera.url, tmp_path / "out")
    running.wait_until_it_writes()
    camera.stop()
    time.sleep(0.3)
    began = time.monotonic()
    code, told, said = running.end(signal.SIGINT)
    assert time.monotonic() - began < 10  # it would try for a minute
    assert code == 0
    assert told["stopped"]
    assert said.count("was lost") == 1
    assert "stream.lost" in [finding["code"] for finding in told["findings"]]
    assert len(read_video(Path(told["files"][0]))) == told["frames"] > 0


@POSIX
def test_a_signal_keeps_the_live_ones_of_several(
    detect_model: Path, tmp_path: Path, camera: JpegCamera
) -> None:
    write_video(tmp_path / "long.mp4", moving_square(3000))
    sources = tmp_path / "streams.txt"
    sources.write_text(f"{camera.url}\nlong.mp4\n")
    running = Process(detect_model, sources, tmp_path / "out")
    running.wait_until_it_writes()
    code, told, _ = running.end(signal.SIGTERM)
    assert code == 0
    assert [part["kind"] for part in told["sources"]] == ["stream"]
    assert [finding["code"] for finding in told["findings"]] == ["source.stopped"]
    assert len(read_video(Path(told["files"][0]))) == told["frames"] > 0
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_camera_that_never_was_there(detect_model: Path, tmp_path: Path) -> None:
    code, told, _ = Process(detect_model, "http://127.0.0.1:9/x", tmp_path / "out").end()
    assert code == 5
    assert "cannot be opened" in told["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_dies_for_good_keeps_what_it_gave(
    detect_model: Path, tmp_path: Path, camera: JpegCamera
) -> None:
    camera.count = 12
    result = predict(detect_model, camera.url, PredictConfig(out=tmp_path / "out", reconnect=0))
    assert [finding.code for finding in result.findings] == ["stream.lost"]
    assert not result.failed
    assert len(read_video(result.files[0])) == result.frames > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of 1 MiB, where this user may mount one; else None."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = bool(shutil.which("mount")) and not subprocess.run(mount, check=False).returncode
    yield folder if done else None
    if done:
        subprocess.run(["umount", str(folder)], check=True)


class TestFullDisk:
    def test_a_real_one(
        self,
        detect_model: Path,
        small_disk: Path | None,
        camera: JpegCamera,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if small_disk is None:
            pytest.skip("this user may not mount a small disk; the test below needs none")
        monkeypatch.setattr(stopping, "_LOOK_SECONDS", 0)
        out = small_disk / "out"
        result = predict(
            detect_model, camera.url, PredictConfig(out=out, save=["video", "images", "jsonl"])
        )
        assert [finding.code for finding in result.findings] == ["output.disk-full"]
        video, pictures, lines = result.files
        assert len(read_video(video)) == result.frames > 20
        assert len(list(pictures.iterdir())) == result.frames
        assert len(lines.read_bytes().splitlines()) == result.frames

    def test_a_live_run_ends_while_it_can_still_be_finished(
        self,
        detect_model: Path,
        tmp_path: Path,
        camera: JpegCamera,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(stopping, "_enough", lambda _: False)
        result = predict(detect_model, camera.url, PredictConfig(out=tmp_path / "out"))
        assert [finding.code for finding in result.findings] == ["output.disk-full"]
        assert result.failed
        assert result.stats.stopped
        assert len(read_video(result.files[0])) == result.frames == 1

    def test_the_disk_is_looked_at_now_and_then(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = []
        monkeypatch.setattr(stopping, "_enough", lambda disk: looked.append(disk.free) or True)
        findings = []
        write = while_disk_lasts(tmp_path / "deep" / "out", findings)
        frame, nothing = Frame(picture(8, 8), 0, 0.0, "x"), Detections.empty()
        assert all(write(frame, nothing) for _ in range(100))
        assert len(looked) == 1
        assert looked[0] > 0
        assert findings == []


class TestStop:
    def test_everybody_who_listens_hears(self) -> None:
        stop, heard = Stop(), []
        with stop.heard_by(lambda: heard.append(1)), stop.heard_by(lambda: heard.append(2)):
            threading.Thread(target=stop.ask).start()
            while not heard[1:]:
                time.sleep(0.001)
        assert stop.wanted
        assert heard == [1, 2]
        stop.ask()
        assert heard == [1, 2]  # nobody listens any more

    def test_who_comes_late_hears_too(self) -> None:
        stop, heard = Stop(), []
        stop.ask()
        with stop.heard_by(lambda: heard.append("late")):
            assert heard == ["late"]
