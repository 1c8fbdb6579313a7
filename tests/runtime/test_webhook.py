"""The example of a sink that somebody else wrote, as a package of its own, with a real receiver."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from detect_tl.core.detections import Detections
from detect_tl.core.errors import UsageError
from detect_tl.runtime.frames import Frame, SourceInfo
from detect_tl.runtime.sinks import Place
from tests.conftest import ROOT
from tests.runtime.videos import moving_square, write_video

Told = Callable[[str, int], str]
EXAMPLE = Path(__file__).parent / "example_webhook"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example and install it, without network, where only these tests see it."""
    package, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("installed")
    for name in ("detect_tl_webhook.py", "pyproject.toml"):
        shutil.copyfile(EXAMPLE / name, package / name)
    options = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
    command = [sys.executable, "-m", "pip", "install", *options.split(), "--target"]
    done = subprocess.run(
        [*command, str(target), str(package)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


@contextmanager
def receiver(
    answer: int = 200, *, hang: threading.Event | None = None
) -> Iterator[tuple[str, list]]:
    """A server on this machine; gives its address, and what it got."""
    got: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            if hang is not None:
                hang.wait(30)
            got.append(json.loads(body))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/found", got
    finally:
        if hang is not None:
            hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_every_frame_arrives(installed: Path, detect_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", moving_square(17))
    command = [sys.executable, "-m", "detect_tl", "predict", str(detect_model), str(video)]
    paths = [str(installed), str(ROOT), os.environ.get("PYTHONPATH", "")]
    with receiver() as (url, got):
        done = subprocess.run(
            [*command, "--save", "webhook", "--conf", "0.8", "--track", "--json"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "WEBHOOK_URL": url},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["findings"] == result["files"] == []
    assert [document["frame"] for document in got] == list(range(17))
    assert {item["class"] for document in got for item in document["detections"]} == {"red"}
    assert all("track_id" in item for document in got for item in document["detections"])
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]  # no empty folder


class TestReceivers:
    """That are no good: each is counted and told, and holds nothing up."""

    @pytest.fixture
    def told(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
        monkeypatch.syspath_prepend(installed)
        import detect_tl_webhook

        def send(url: str, frames: int) -> str:
            monkeypatch.setenv("WEBHOOK_URL", url)
            place = Place(folder=None, source=SourceInfo(kind="video", name="v"), names=["red"])
            found = Detections(
                np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32), np.array([0])
            )
            with detect_tl_webhook.SINK.open(place) as write:
                for index in range(frames):
                    frame = Frame(np.zeros((8, 8, 3), np.uint8), index, index / 10, "v")
                    assert write(frame, found)
                    assert write(frame, Detections.empty())  # of which nothing is sent
            (finding,) = place.findings
            assert finding.code == "webhook.missing"
            return finding.message

        yield send
        del sys.modules["detect_tl_webhook"]

    def test_it_refuses(self, told: Told) -> None:
        with receiver(503) as (url, got):
            message = told(url, 9)
        assert "9 of 9 documents" in message
        assert "503" in message
        assert got

    def test_it_is_not_there(self, told: Told) -> None:
        with receiver() as (url, _):
            pass
        message = told(url, 9)
        assert "9 of 9 documents" in message
        assert "refused" in message

    def test_it_hangs(self, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("detect_tl_webhook.SECONDS", 0.5)
        with receiver(hang=threading.Event()) as (url, _):
            message = told(url, 100)
        assert "100 of 100 documents" in message
        # At most one is on its way and 32 wait: the others were replaced.
        dropped = int(message.partition(" of them replaced")[0].rpartition(" ")[2])
        assert dropped in (67, 68)

    def test_it_is_no_address(self, told: Told) -> None:
        with pytest.raises(UsageError, match="WEBHOOK_URL is no address"):
            told("file:///etc/passwd", 1)
