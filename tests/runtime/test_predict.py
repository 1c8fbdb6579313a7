from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import orjson
import pytest

from detect_tl.core.errors import DataError, DetectTLError, MachineError, UsageError, WeightsError
from detect_tl.core.progress import Silent
from detect_tl.runtime.backends import load_backend
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.detector import Detector
from detect_tl.runtime.predict import predict
from detect_tl.runtime.result import PredictResult
from tests.runtime.conftest import picture
from tests.runtime.videos import moving_square, read_video, write_video


def documents(result: PredictResult) -> list[dict[str, object]]:
    (path,) = [p for p in result.files if p.suffix == ".jsonl"]
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "Läufer 1.mp4", moving_square(17))


def test_a_video_from_end_to_end(detect_model: Path, video: Path, tmp_path: Path) -> None:
    result = predict(detect_model, video, PredictConfig(out=tmp_path / "out", conf=0.8))
    assert result.frames == 17
    assert result.objects == {"red": 17}
    assert [p.name for p in result.files] == ["Läufer-1.mp4", "detections.jsonl"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        p.name for p in result.files
    )
    for index, document in enumerate(documents(result)):
        left = index % 8 * 8
        (found,) = document["detections"]
        assert document["frame"] == index
        assert document["time"] == pytest.approx(index / 10)
        assert found["class"] == "red"
        assert found["xyxy"] == [left, 8, left + 8, 16]
    drawn = read_video(result.files[0])
    assert len(drawn) == 17
    report = result.as_json()
    assert report["frames"] == report["frames_in_header"] == 17
    assert orjson.loads(orjson.dumps(report)) == report


def test_images_with_masks(segment_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name, colour in (("a.png", "red"), ("deep/ü.jpg", "blue")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(64, 64, (8, 16, 24, 32, colour))
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    result = predict(segment_model, folder, PredictConfig(out=tmp_path / "out", conf=0.6))
    assert result.frames == 2
    assert result.objects == {"red": 4, "blue": 4}
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert names == {"images/a.png", "images/deep/ü.jpg", "detections.jsonl"}
    assert [d["name"] for d in documents(result)] == ["a.png", "deep/ü.jpg"]
    assert all("mask" in item for d in documents(result) for item in d["detections"])
    drawn = cv2.imread(str(tmp_path / "out" / "images" / "a.png"))
    assert not np.array_equal(drawn, picture(64, 64, (8, 16, 24, 32, "red")))


def test_a_detector_that_is_ready_keeps_its_settings_and_stays_open(
    detect_model: Path, video: Path
) -> None:
    with Detector(load_backend(detect_model), conf=0.8, classes=[1]) as detector:
        assert predict(detector, video).objects == {}
        assert predict(detector, video).frames == 17


def test_settings_reach_the_run(detect_model: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = predict(
        detect_model,
        video,
        PredictConfig(out=out, save=["images"], conf=0.8, classes=["red"], limit=3),
    )
    assert result.frames == 3
    assert result.files == (out / "images",)
    assert len(list((out / "images").iterdir())) == 3
    assert result.findings == ()
    assert predict(detect_model, video, PredictConfig(conf=0.8, classes=["blue", 1])).objects == {}


def test_progress_is_shown(detect_model: Path, video: Path) -> None:
    class Seen(Silent):
        total: float | None = None
        advanced = 0.0

        def step(self, text: str, total: float | None = None):
            self.total = total
            bar = super().step(text, total)
            inner = bar.__enter__()
            inner.advance = lambda amount=1: setattr(self, "advanced", self.advanced + amount)
            return bar

    progress = Seen()
    predict(detect_model, video, PredictConfig(limit=5), progress=progress)
    assert (progress.total, progress.advanced) == (5, 5)


def test_fewer_frames_than_promised_are_reported(detect_model: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "whole.mkv", list(noise))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = predict(detect_model, cut, PredictConfig(out=tmp_path / "out"))
    assert len(read_video(result.files[0])) == result.frames < 20
    assert "video.frame-count" in [f.code for f in result.findings]


class TestRefused:
    """Each ends in one sentence, with nothing written."""

    @pytest.mark.parametrize(
        ("options", "kind", "told"),
        [
            ({"limit": 0}, UsageError, "limit is 0"),
            ({"save": ["gif"]}, UsageError, "unknown sink 'gif'"),
            ({"save": []}, UsageError, "nothing is to be saved"),
            ({"out": None, "save": ["jsonl"]}, UsageError, "no folder to save into"),
            ({"conf": 2}, UsageError, "conf is 2"),
            ({"classes": ["rad"]}, UsageError, "no class 'rad'"),
            ({"backend": "tensorrt"}, UsageError, "unknown backend"),
            ({"imgsz": (96, 96)}, UsageError, "accepts 64x64"),
        ],
    )
    def test_settings(
        self,
        *,
        detect_model: Path,
        video: Path,
        tmp_path: Path,
        options: dict[str, object],
        kind: type[DetectTLError],
        told: str,
    ) -> None:
        with pytest.raises(kind, match=told) as caught:
            predict(detect_model, video, PredictConfig(**{"out": tmp_path / "out", **options}))
        assert caught.value.hint
        assert {p.name for p in tmp_path.iterdir()} == {video.name}

    def test_an_output_folder_that_is_not_empty(
        self, detect_model: Path, video: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("keep")
        with pytest.raises(UsageError, match="not empty"):
            predict(detect_model, video, PredictConfig(out=tmp_path / "out"))
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_a_full_disk(
        self, detect_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (40, 256, 256, 3), dtype=np.uint8)
        video = write_video(tmp_path / "noise.mp4", list(noise))
        open_ = av.open

        def full(name: str, mode: str = "r", **options: object) -> object:
            return open_("/dev/full" if mode == "w" else name, mode, **options)

        monkeypatch.setattr(av, "open", full)
        with pytest.raises(MachineError, match="disk is full while writing") as caught:
            predict(detect_model, video, PredictConfig(out=tmp_path / "out"))
        assert str(tmp_path / "out" / "noise.mp4") in caught.value.message
        assert [p.name for p in tmp_path.iterdir()] == ["noise.mp4"]

    def test_a_missing_model_or_source(
        self, detect_model: Path, video: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(WeightsError):
            predict(tmp_path / "none.onnx", video, PredictConfig(out=tmp_path / "out"))
        with pytest.raises(DataError):
            predict(detect_model, tmp_path / "none.mp4", PredictConfig(out=tmp_path / "out"))
        assert {p.name for p in tmp_path.iterdir()} == {video.name}

    def test_images_as_a_video(self, detect_model: Path, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(cv2.imencode(".png", picture(8, 8))[1].tobytes())
        with pytest.raises(UsageError, match="make no video"):
            predict(detect_model, path, PredictConfig(out=tmp_path / "out", save=["video"]))

    def test_a_damaged_image_in_the_middle(self, detect_model: Path, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        good = cv2.imencode(".png", picture(64, 64))[1].tobytes()
        for index in range(6):
            (folder / f"{index}.png").write_bytes(good if index != 3 else good[:20])
        with pytest.raises(DataError) as caught:
            predict(detect_model, folder, PredictConfig(out=tmp_path / "out"))
        assert caught.value.path == folder / "3.png"
        assert [p.name for p in tmp_path.iterdir()] == ["in"]

    def test_a_window_without_a_display(
        self, detect_model: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(MachineError, match="no display"):
            predict(detect_model, video, PredictConfig(out=tmp_path / "out", show=True))
        assert not (tmp_path / "out").exists()


SCRIPT = """
import sys
from pathlib import Path
from detect_tl.runtime.config import PredictConfig
from detect_tl.runtime.predict import predict
result = predict(Path(sys.argv[1]), sys.argv[2], PredictConfig(out=Path(sys.argv[3])))
assert not {"torch", "ultralytics", "supervision", "matplotlib.pyplot"} & set(sys.modules)
print(result.frames)
"""


def test_prediction_loads_no_torch(segment_model: Path, video: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", SCRIPT, segment_model, video, tmp_path / "out"]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert done.stdout == "17\n"
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")
def test_ctrl_c_on_a_file_leaves_nothing_behind(detect_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mp4", moving_square(4000))
    arguments = [sys.executable, "-c", SCRIPT, detect_model, video, tmp_path / "out"]
    running = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".out.*/.long.*")):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert [p.name for p in tmp_path.iterdir()] == ["long.mp4"]


def test_a_video_of_changing_rate_keeps_its_times(detect_model: Path, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.13, 0.6, 1.0, 1.02, 2.5]
    video = write_video(tmp_path / "v.mkv", moving_square(7), times=times)
    result = predict(detect_model, video, PredictConfig(out=tmp_path / "out"))
    assert [document["time"] for document in documents(result)] == pytest.approx(times)
    with av.open(str(result.files[0])) as written:
        assert [frame.time for frame in written.decode(video=0)] == pytest.approx(times)
    assert result.findings == ()


def test_people(shared: Path, detect_model: Path) -> None:
    """All 302 frames of a real 1080p video come through."""
    result = predict(detect_model, shared / "data" / "video_people" / "people.mp4")
    assert result.frames == 302
    assert result.findings == ()
